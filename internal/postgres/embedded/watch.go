package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"onepg/internal/fault"
)

// Watch stops the server of the data directory as soon as no process uses it
// any more, and returns; it also returns when the server is gone for another
// reason, when another watcher is at work, and with ctx's error when ctx ends.
func Watch(ctx context.Context, dataDir string) error {
	c := &cluster{dir: dataDir}
	duty, err := c.takeDuty(ctx)
	if duty == nil || err != nil {
		return err
	}
	defer duty.release()
	return poll(ctx, watchInterval, func() (bool, error) { return c.patrol(ctx, duty) })
}

// takeDuty gives nothing where another watcher is at work. Why it waits: a look
// at the lock takes it for a moment.
func (c *cluster) takeDuty(ctx context.Context) (*fileLock, error) {
	soon, cancel := context.WithTimeout(ctx, watchInterval)
	defer cancel()
	duty, err := acquire(soon, c.path(watchLock), syscall.LOCK_EX)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, nil //nolint:nilnil // Nothing to do is no error.
	}
	return duty, err
}

// patrol reports whether the watch is over. It gives up the duty before it
// gives up start.lock: a server that is launched then gets a new watcher.
func (c *cluster) patrol(ctx context.Context, duty *fileLock) (over bool, err error) {
	if _, err := os.Stat(c.path(startLock)); errors.Is(err, fs.ErrNotExist) {
		return true, nil // Why: taking the lock would make a deleted directory anew.
	}
	gate, err := tryLock(c.path(startLock), syscall.LOCK_EX)
	if errors.Is(err, errBusy) {
		return false, nil // Somebody starts or stops it; look again when they are done.
	}
	if err != nil {
		return false, err
	}
	defer gate.release()
	over, err = c.stopUnused(ctx, nil)
	if err == nil && !over {
		var running bool
		running, err = c.running()
		over = !running
	}
	if over || err != nil {
		duty.release()
	}
	return over, err
}

// awaitWatcher returns when the watcher has seen that the server is gone, so
// that a clean stop leaves no process behind.
func (c *cluster) awaitWatcher(ctx context.Context) error {
	return poll(ctx, lockInterval, func() (bool, error) {
		watched, err := locked(c.path(watchLock))
		return !watched, err
	})
}

// startWatcher starts the command unless a watcher is at work. It needs
// start.lock. Of two started at once the second ends by itself.
func (c *cluster) startWatcher(ctx context.Context, command []string) error {
	watched, err := locked(c.path(watchLock))
	if watched || err != nil {
		return err
	}
	log, err := openLog(c.path(logName))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // The child has its own copy.
	// Why WithoutCancel: it has to outlive us.
	args := append(command[1:len(command):len(command)], c.dir)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), command[0], args...) // The program names its own executable.
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err = cmd.Start(); err != nil {
		return fmt.Errorf("start the watcher: %w", err)
	}
	return nil
}

// Stop stops the server of the data directory if nobody uses it, and fails if
// somebody does. A directory that does not exist has no server to stop.
func Stop(ctx context.Context, dataDir string) error {
	dir, err := filepath.EvalSymlinks(dataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	c := &cluster{dir: dir}
	if _, err = os.Stat(c.path(startLock)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	gate, err := acquire(ctx, c.path(startLock), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer gate.release()
	stopped, err := c.stopUnused(ctx, nil)
	if err == nil && !stopped {
		return fault.New(fault.Unavailable, "postgres-in-use", "the PostgreSQL in "+dir+" is still in use")
	}
	return err
}
