package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"

	"onepg/internal/app"
	"onepg/internal/config"
	"onepg/internal/domains"
)

// Roles are what a worker process can be.
const (
	roleServe   = "serve"   // the whole program, as `app run` would start it
	roleArticle = "article" // the baseline; see article.go
	roleLoad    = "load"    // sends requests
)

// Program is what workers are made of: the same as for `app run`.
type Program struct {
	Config  *config.Config
	Domains []domains.Constructor
	Logger  *slog.Logger
	Version string
}

// Work is the life of a worker process in one of the roles. It reads orders
// from in and answers on out, one JSON value each, and returns when in ends,
// which it does also when the process that gave the orders was killed.
func Work(ctx context.Context, role string, p Program, in io.Reader, out io.Writer) error {
	app.CollectLess() // as `app run` does
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	switch role {
	case roleServe:
		return serveUntilEOF(ctx, in, p.serve(answers))
	case roleArticle:
		return serveUntilEOF(ctx, in, p.serveArticle(answers))
	case roleLoad:
		return serveLoads(ctx, orders, answers)
	default:
		return fmt.Errorf("a worker cannot be %q", role)
	}
}

// ready is what a server says when it takes requests.
type ready struct{ URL string }

func (p Program) serve(answers *json.Encoder) func(context.Context) error {
	return func(ctx context.Context) error {
		a, err := app.Start(ctx, app.Options{
			Config: p.Config, Domains: p.Domains, Logger: p.Logger, Version: p.Version,
		})
		if err != nil {
			return err
		}
		if err := answers.Encode(ready{a.URL()}); err != nil {
			return errors.Join(fmt.Errorf("say where the server is: %w", err), a.Close())
		}
		return a.Run(ctx)
	}
}

func serveUntilEOF(ctx context.Context, in io.Reader, serve func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in) // any end is the end
		cancel()
	}()
	return serve(ctx)
}

// worker is a worker process as its parent sees it.
type worker struct {
	process *exec.Cmd
	orders  *json.Encoder
	answers *json.Decoder
	// stop lets the worker finish and waits for it. Called again it gives the
	// same error.
	stop func() error
}

// startWorker runs the command with the role as its last argument.
func startWorker(ctx context.Context, command []string, role string, env []string) (*worker, error) {
	process := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], role)...)
	process.Env = append(os.Environ(), env...)
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("worker %s: %w", role, err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("worker %s: %w", role, err)
	}
	// Why: a worker stops in order when its input ends; when the benchmark is
	// interrupted it gets the time for that.
	process.Cancel = in.Close
	process.WaitDelay = stopTimeout
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("worker %s: %w", role, err)
	}
	stop := sync.OnceValue(func() error {
		_ = in.Close() // closed twice is closed
		if err := process.Wait(); err != nil {
			return fmt.Errorf("worker %s: %w", role, err)
		}
		return nil
	})
	return &worker{process: process, orders: json.NewEncoder(in), answers: json.NewDecoder(out), stop: stop}, nil
}

// receive reads the worker's next answer. One that died says why on its own
// standard error.
func (w *worker) receive(answer any) error {
	if err := w.answers.Decode(answer); err != nil {
		if stopped := w.stop(); stopped != nil {
			return stopped // says more than the end of its answers
		}
		return fmt.Errorf("a worker process did not answer: %w", err)
	}
	return nil
}

func (w *worker) pid() int { return w.process.Process.Pid }
