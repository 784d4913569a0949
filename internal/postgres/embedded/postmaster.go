package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"onepg/internal/fault"
)

const (
	stateInterval = 20 * time.Millisecond
	// startTimeout bounds a start, with recovery after a crash: at most
	// max_wal_size (1 GB) is replayed, which takes some tens of seconds.
	startTimeout = 2 * time.Minute
	// fastTimeout is how long a fast shutdown may write its checkpoint. After it
	// the server is stopped at once, which loses nothing but the time to recover.
	fastTimeout = 30 * time.Second
)

// A cluster is a data directory and what it takes to run a server in it. Its
// methods, but for the reading ones, are called by who holds start.lock.
type cluster struct {
	dir      string
	binDir   string
	settings map[string]string
	binaries Binaries
	account  account
	// logStart is where the log ended before the last launch.
	logStart int64
	// child is the postmaster if this process launched it.
	child *exec.Cmd
}

// open gives the cluster of a data directory that exists or may be made.
func open(options Options) (*cluster, error) {
	dir, err := claim(options.DataDir)
	if err != nil {
		return nil, denied(options.DataDir, err)
	}
	return &cluster{dir: dir, binDir: options.BinDir, settings: options.Settings}, nil
}

func (c *cluster) path(names ...string) string {
	return filepath.Join(append([]string{c.dir}, names...)...)
}

// running reports whether a postmaster or a backend of one is alive.
func (c *cluster) running() (bool, error) { return locked(c.path(serverLock)) }

// up gives the address of a server that answers. It joins one that runs, waits
// for one that starts or stops, and launches one if none is there.
func (c *cluster) up(ctx context.Context) (address, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var server address
	var launched bool
	var unready error
	err := poll(ctx, stateInterval, func() (bool, error) {
		running, err := c.running()
		if err != nil {
			return false, err
		}
		if !running && launched {
			return false, errors.New("the server ended at once")
		}
		if !running {
			launched = true
			return false, c.launch(ctx)
		}
		server, unready = c.address()
		if unready == nil && launched && server.pid != c.child.Process.Pid {
			unready = errors.New("another server has the cluster") // Ours is about to say so and end.
		}
		if unready == nil {
			unready = server.ping(ctx)
		}
		return unready == nil, nil
	})
	var explained *fault.Error
	if err == nil || errors.As(err, &explained) {
		return server, err
	}
	return address{}, fault.Wrap(errors.Join(err, unready, errors.New(c.logTail())),
		fault.Unavailable, "postgres-start", "PostgreSQL did not start; the end of "+c.path(logName))
}

// launch starts a postmaster, after initdb where there is no cluster yet, and
// does not wait until it answers.
func (c *cluster) launch(ctx context.Context) error {
	// Why wait: another user's look at the lock takes it for a moment.
	lock, err := acquire(ctx, c.path(serverLock), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.handOver()
	if err = c.equip(ctx, lock); err != nil {
		return err
	}
	if err = c.clearStale(ctx); err != nil {
		return err
	}
	settings := defaults()
	settings["unix_socket_directories"] = directoryList(c.socketDir())
	maps.Copy(settings, c.settings)
	args := append([]string{"-D", c.path(pgdataName)}, arguments(settings)...)
	// Why WithoutCancel: the server outlives the caller.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.binaries.path("postgres"), args...)
	if err = c.startProcess(cmd, lock); err != nil {
		return err
	}
	c.reap()
	c.child = cmd
	return nil
}

// equip finds the binaries, the user and the directories for a launch, and
// makes the cluster if there is none.
func (c *cluster) equip(ctx context.Context, lock *fileLock) error {
	major, err := c.clusterMajor()
	if err != nil {
		return err
	}
	if c.binaries, err = choose(ctx, c.binDir, major); err != nil {
		return err
	}
	if c.account, err = accountFor(c.path(pgdataName)); err != nil {
		return err
	}
	if err = c.account.reach(ctx, c.binaries, c.dir); err != nil {
		return err
	}
	if err = c.account.makePrivate(c.socketDir()); err != nil {
		return err
	}
	if major != 0 {
		return nil
	}
	return c.initialise(ctx, lock)
}

// startProcess starts cmd detached, as the account, with the lock inherited
// and its output in the log. Why a file and no pipe: a harness that waits for
// the end of our output must not wait for the server.
func (c *cluster) startProcess(cmd *exec.Cmd, lock *fileLock) error {
	log, err := openLog(c.path(logName))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // The child has its own copy.
	if c.logStart, err = log.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("find the end of the log: %w", err)
	}
	cmd.Dir, cmd.Env = "/", environment()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{lock.file}
	cmd.SysProcAttr = attributes(c.account)
	if err = cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return nil
}

// clearStale removes the postmaster.pid and socket of a server that died. Why
// here and not by PostgreSQL: it goes by the process id alone, and would refuse
// to start where the id now belongs to another process of the same user.
func (c *cluster) clearStale(ctx context.Context) error {
	name := c.path(pgdataName, "postmaster.pid")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read postmaster.pid: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	works, known := false, err != nil // A torn file names nobody.
	if err == nil {
		works, known = worksIn(ctx, pid, c.path(pgdataName))
	}
	if works {
		return fault.New(fault.Unavailable, "postgres-foreign", fmt.Sprintf(
			"a PostgreSQL server (process %d) that this program did not start runs in %s; stop it with pg_ctl stop -D %[2]s",
			pid, c.path(pgdataName)))
	}
	if !known {
		return nil // PostgreSQL knows as much as we do.
	}
	for _, stale := range []string{name, filepath.Join(c.socketDir(), socketName+".lock"), filepath.Join(c.socketDir(), socketName)} {
		if err = os.Remove(stale); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what a dead server left: %w", err)
		}
	}
	return nil
}

// down stops the server, if one runs: fast, which ends its sessions and writes
// a checkpoint, and immediately if that takes too long.
func (c *cluster) down(ctx context.Context) error {
	err := c.stop(ctx, syscall.SIGINT)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = c.stop(ctx, syscall.SIGQUIT)
	}
	if err != nil {
		return fmt.Errorf("stop PostgreSQL in %s: %w", c.dir, err)
	}
	c.reap()
	// The server has removed its socket; the directory goes if nothing else is
	// in it, so that none stay behind in the directory for temporary files.
	_ = os.Remove(c.socketDir()) // What stays is used by the next start.
	return nil
}

// stop sends the signal to the postmaster, as soon as there is one to send it
// to, and waits until it and its backends are gone.
func (c *cluster) stop(ctx context.Context, signal syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, fastTimeout)
	defer cancel()
	sent := false
	return poll(ctx, stateInterval, func() (bool, error) {
		running, err := c.running()
		if err != nil || !running {
			return true, err
		}
		if server, err := c.address(); err == nil && !sent {
			sent = server.signal(ctx, c.path(pgdataName), signal)
		}
		return false, nil
	})
}

// reap ends the zombie of a postmaster that this process launched. Why not a
// goroutine that waits for it: it would live as long as the server, in programs
// that otherwise prove that they leave none behind.
func (c *cluster) reap() {
	if c.child != nil {
		_ = c.child.Wait() // How it ended is in its log.
		c.child = nil
	}
}
