package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// rebuilding asks for a rebuild of the users view and takes the time until the
// new rows are served, from the request on: up to a second of it is the wait
// until the program looks.
func (s *stage) rebuilding(program *server) subject {
	return subject{
		name: "rebuild", what: "the users view from all events", unit: perSecond, checks: []check{value().least(60_000)},
		run: func(ctx context.Context) (sample, error) {
			var events float64
			if err := program.db.QueryRowContext(ctx, `SELECT "position" FROM event_log_head`).Scan(&events); err != nil {
				return sample{}, fmt.Errorf("count the events: %w", err)
			}
			busy, start := s.watchCores(program.pid(), 0), now()
			if err := program.rebuildUsers(ctx); err != nil {
				return sample{}, err
			}
			return sample{figure: events / now().Sub(start).Seconds(), cores: busy()}, nil
		},
	}
}

// rebuildUsers returns when the rebuild is over.
func (s *server) rebuildUsers(ctx context.Context) error {
	c, err := dial(ctx, s.address)
	if err != nil {
		return err
	}
	defer c.close()
	request, _ := newRequest(http.MethodPost, "/v1/views/users/rebuild", "", 0)
	status, err := c.do(request)
	if err == nil && status != http.StatusAccepted {
		err = fmt.Errorf("the answer is %d: %s", status, c.buffer)
	}
	if err != nil {
		return fmt.Errorf("ask for a rebuild: %w", err)
	}
	for running := true; running; {
		const interval = 10 * time.Millisecond
		if pause(ctx, interval); ctx.Err() != nil {
			return fmt.Errorf("wait for the rebuild: %w", context.Cause(ctx))
		}
		err := s.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM view_positions WHERE view = 'users_rebuild')").Scan(&running)
		if err != nil {
			return fmt.Errorf("wait for the rebuild: %w", err)
		}
	}
	return nil
}
