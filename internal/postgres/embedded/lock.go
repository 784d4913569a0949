package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockInterval is how often a busy lock is tried again. Why not a blocking
// flock: it cannot be cancelled and keeps an OS thread.
const lockInterval = 10 * time.Millisecond

// errBusy says that another process has the lock.
var errBusy = errors.New("locked by another process")

// A fileLock is an flock(2) on an open file. It ends with release, or when
// every process that inherited the file has ended.
type fileLock struct{ file *os.File }

// tryLock takes the lock how (syscall.LOCK_SH or LOCK_EX), or fails with
// errBusy at once.
func tryLock(name string, how int) (*fileLock, error) {
	// Why 0600: whoever can open the file could hold the lock for ever.
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for {
		err = syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return &fileLock{file: file}, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errBusy
	}
	return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), file.Close())
}

// acquire waits for the lock until ctx ends.
func acquire(ctx context.Context, name string, how int) (*fileLock, error) {
	var lock *fileLock
	err := poll(ctx, lockInterval, func() (bool, error) {
		var err error
		lock, err = tryLock(name, how)
		if errors.Is(err, errBusy) {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return nil, fmt.Errorf("wait for %s: %w", name, err)
	}
	return lock, nil
}

// locked reports whether somebody has the lock exclusively.
func locked(name string) (bool, error) {
	lock, err := tryLock(name, syscall.LOCK_SH)
	if errors.Is(err, errBusy) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	lock.release()
	return false, nil
}

// release unlocks the file for every process that inherited it and closes it.
func (l *fileLock) release() {
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN) // Fails only on a closed file, which is unlocked.
	l.handOver()
}

// handOver closes our copy of the file only: the lock stays with the processes
// that inherited it, and is free if there are none.
func (l *fileLock) handOver() {
	_ = l.file.Close() // A file that was only locked has nothing to lose.
}

// poll calls done now and at every interval until it reports true or fails, or
// until ctx ends.
func poll(ctx context.Context, interval time.Duration, done func() (bool, error)) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting: %w", ctx.Err())
		case <-ticker.C:
		}
	}
}
