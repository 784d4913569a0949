package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"onepg/internal/pause"
)

// prepareRebuild measures folding a view anew from all events, and what
// PostgreSQL takes for the same rows when one statement makes them.
func prepareRebuild(ctx context.Context, s *stage) ([]subject, error) {
	const million, ceiling = 1_000_000, "rebuild by SQL"
	events := min(million, s.options.Stored)
	program, err := s.programWithUsers(ctx, "rebuild", events)
	if err != nil {
		return nil, err
	}
	if _, err := program.db.ExecContext(ctx, "CREATE TABLE sql_users (LIKE users INCLUDING ALL)"); err != nil {
		return nil, fmt.Errorf("make a second table of users: %w", err)
	}
	timed := func(work func(context.Context, *server) error) func(context.Context) (sample, error) {
		return func(ctx context.Context) (sample, error) {
			busy, start := s.watchCores(program.pid(), 0), now()
			if err := work(ctx, program); err != nil {
				return sample{}, err
			}
			return sample{figure: float64(events) / now().Sub(start).Seconds(), cores: busy()}, nil
		}
	}
	return []subject{{
		name: "rebuild", what: "the users view from " + number(float64(events)) + " events", unit: perSecond,
		checks: []check{value().least(60_000), versus(ceiling)}, run: timed(rebuildUsers),
	}, {
		name: ceiling, what: "the same rows by one INSERT … SELECT", unit: perSecond, run: timed(insertUsers),
	}, {
		name: "peak of rebuild", what: "memory of the program after rebuilds", unit: mebibytes,
		checks: []check{value().most(256)},
		run: func(context.Context) (sample, error) {
			used, err := memoryOf(program.pid())
			return sample{figure: used.Peak / mebi}, err
		},
	}}, nil
}

// insertUsers makes the rows of users who were created and nothing more.
func insertUsers(ctx context.Context, s *server) error {
	for _, query := range []string{
		"TRUNCATE sql_users",
		`INSERT INTO sql_users (id, name, email, version, created_at, updated_at)
		 SELECT aggregate_id, payload ->> 'name', payload ->> 'email', version, recorded_at, recorded_at FROM events`,
	} {
		if _, err := s.db.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("make the rows of users: %w", err)
		}
	}
	return nil
}

// rebuildUsers asks for a rebuild and returns when the new rows are served. Up
// to a second of that is the wait until the program looks.
func rebuildUsers(ctx context.Context, s *server) error {
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
		if !pause.For(ctx, interval) {
			return fmt.Errorf("wait for the rebuild: %w", context.Cause(ctx))
		}
		err := s.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM view_positions WHERE view = 'users_rebuild')").Scan(&running)
		if err != nil {
			return fmt.Errorf("wait for the rebuild: %w", err)
		}
	}
	return nil
}
