package bench

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"onepg/internal/pause"
)

const mebi = 1 << 20

// idleTime is how long the program is left alone before it is called idle.
const idleTime = 2 * time.Second

// prepareIdle measures the program's memory: alone, and at its peak while many
// clients append. Each round has a process of its own.
func prepareIdle(_ context.Context, s *stage) ([]subject, error) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		return nil, nil //nolint:nilerr // a system that does not tell
	}
	return []subject{
		{
			name: "idle", what: "memory of the program, nobody there", unit: mebibytes,
			checks: []check{value().most(64)},
			run:    s.remembering(nil),
		},
		{
			name: "peak", what: "memory of the program, 256 clients append", unit: mebibytes,
			checks: []check{value().most(256)},
			run: s.remembering(func(program *server) error {
				request, marks := newRequest(http.MethodPost, "/v1/users/events", userCreated, 0)
				_, _, err := s.send(program, load{Connections: 256, Request: request, Marks: marks, Status: http.StatusCreated})
				return err
			}),
		},
	}, nil
}

// remembering starts the program, does something with it or waits, and gives the
// most memory it had, or what it has when idle.
func (s *stage) remembering(do func(*server) error) func(context.Context) (sample, error) {
	return func(ctx context.Context) (_ sample, err error) {
		own := &stage{lab: s.lab, loader: s.loader}
		defer func() { err = errors.Join(err, own.close()) }()
		program, err := own.program(ctx, "idle")
		if err != nil {
			return sample{}, err
		}
		if do == nil {
			pause.For(ctx, idleTime)
		} else if err := do(program); err != nil {
			return sample{}, err
		}
		used, err := memoryOf(program.pid())
		bytes := used.Peak
		if do == nil {
			bytes = used.Now
		}
		return sample{figure: bytes / mebi}, err
	}
}
