package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"onepg/internal/pause"
)

// settle waits until the views of all the stage's programs have caught up, so
// that what is measured next does not pay for what was measured before.
func (s *stage) settle(ctx context.Context) error {
	for _, p := range s.programs {
		if err := p.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until every view has read the whole log.
func (s *server) settle(ctx context.Context) error {
	for {
		var behind bool
		err := s.db.QueryRowContext(ctx, `SELECT EXISTS (
			SELECT FROM view_positions v, event_log_head h WHERE v."position" < h."position")`).Scan(&behind)
		if err != nil {
			return fmt.Errorf("ask how far the views are: %w", err)
		}
		if !behind {
			return nil
		}
		const interval = 2 * time.Millisecond
		if !pause.For(ctx, interval) {
			return fmt.Errorf("wait for the views: %w", context.Cause(ctx))
		}
	}
}

// holdViews keeps the program from working on its views until release is
// called. It takes the lock by which a view's replicas agree who works on it.
func (s *server) holdViews(ctx context.Context) (release func() error, err error) {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{})
	if err != nil {
		return nil, fmt.Errorf("begin to hold the views: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "SELECT FROM view_positions FOR UPDATE"); err != nil {
		return nil, fmt.Errorf("hold the views: %w", err)
	}
	return tx.Rollback, nil
}

// whileViewsWait measures without the work of views, as the baselines do.
func (s *server) whileViewsWait(run func(context.Context) (sample, error)) func(context.Context) (sample, error) {
	return func(ctx context.Context) (_ sample, err error) {
		release, err := s.holdViews(ctx)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, release()) }()
		return run(ctx)
	}
}

// fill appends events about new users first+1 to last, without HTTP. User n has the id
// storedID followed by n in eight digits.
func (s *server) fill(ctx context.Context, first, last int) error {
	const chunk = 5000 // enough that the round trips do not count
	for from := first + 1; from <= last; from += chunk {
		_, err := s.db.ExecContext(ctx, `SELECT count(*) FROM append_events(
			ids           => ARRAY(SELECT (?0 || lpad(n::text, 8, '0'))::uuid FROM generate_series(?2, ?3) n ORDER BY n),
			aggregate_ids => ARRAY(SELECT (?1 || lpad(n::text, 8, '0'))::uuid FROM generate_series(?2, ?3) n ORDER BY n),
			names         => ARRAY(SELECT 'user.created' FROM generate_series(?2, ?3)),
			payloads      => ARRAY(SELECT '{"name":"Ada Lovelace","email":"ada@example.com"}'::json FROM generate_series(?2, ?3)))`,
			storedEventID, storedID, from, min(from+chunk-1, last))
		if err != nil {
			return fmt.Errorf("append events up to %d: %w", last, err)
		}
	}
	return nil
}
