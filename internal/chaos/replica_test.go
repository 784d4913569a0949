//go:build fault

package chaos

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A replica is an `app run` that is killed, frozen and started again, always at
// the same address.
type replica struct {
	name, binary string
	address      string
	dir          string // working directory and log
	args, env    []string
	proxy        *proxy // its way to the database; nil where it has one of its own

	mu      sync.Mutex
	process *exec.Cmd
	gone    chan struct{} // closed when the process has ended
	err     error         // how it ended
	// upset is when the process was last killed, frozen or let go, and whether
	// that lasts.
	upset  time.Time
	isDown bool
}

func newReplica(name, binary, dir string, args ...string) (*replica, error) {
	// The port is free now and ours in a moment; nobody else starts servers here.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return &replica{name: name, binary: binary, address: l.Addr().String(), dir: dir, args: args, isDown: true}, nil
}

func (r *replica) url() string { return "http://" + r.address }

// environment is ours without the program's settings.
func environment() (env []string) {
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "APP_") && !strings.HasPrefix(entry, "PG") {
			env = append(env, entry)
		}
	}
	return env
}

// start runs the program and returns when it serves.
func (r *replica) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(r.dir, r.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	args := append([]string{"run", "--addr", r.address, "--log-format", "text"}, r.args...)
	process := exec.Command(r.binary, args...)
	process.Dir, process.Env, process.Stderr = r.dir, append(environment(), r.env...), log
	stdout, err := process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	serves := make(chan struct{})
	go func() {
		defer close(gone)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "onepg is running") {
				close(serves)
				break
			}
		}
		_, _ = io.Copy(io.Discard, stdout)
		r.err = process.Wait()
	}()
	r.mu.Lock()
	r.process, r.gone = process, gone
	r.mu.Unlock()
	select {
	case <-serves:
		r.note(false)
		return nil
	case <-gone:
		return fmt.Errorf("%s ended before it served: %w; see %s", r.name, r.err, log.Name())
	case <-time.After(time.Minute):
		return fmt.Errorf("%s did not serve within a minute; see %s", r.name, log.Name())
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *replica) note(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isDown, r.upset = down, time.Now()
}

// disturbed reports whether the process was not well by our doing at some time
// since then.
func (r *replica) disturbed(since time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isDown || r.upset.After(since)
}

// disturbedNow reports whether the process is dead or frozen by our doing.
func (r *replica) disturbedNow() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isDown
}

func (r *replica) signal(s syscall.Signal) error {
	if s == syscall.SIGCONT {
		defer r.note(false)
	} else {
		r.note(true)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.process.Process.Signal(s)
}

// wait is for the end of the process, and says how it ended.
func (r *replica) wait(limit time.Duration) error {
	select {
	case <-r.gone:
		return r.err
	case <-time.After(limit):
		return fmt.Errorf("%s did not end within %v", r.name, limit)
	}
}

// kill is kill -9.
func (r *replica) kill() error {
	if err := r.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-r.gone
	return nil
}

// stop is for the end of a scenario, whatever state the process is in. It gives
// the error of a process that does not stop cleanly.
func (r *replica) stop() error {
	if r.gone == nil {
		return nil
	}
	_ = r.signal(syscall.SIGCONT)
	_ = r.signal(syscall.SIGTERM)
	const patience = 30 * time.Second // for what is in flight; see APP_SHUTDOWN_TIMEOUT
	err := r.wait(patience)
	if err != nil {
		_ = r.kill()
		err = fmt.Errorf("%s did not stop cleanly on SIGTERM: %w", r.name, err)
	}
	return err
}
