package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// projectorSchema is what the baseline keeps: a copy of the view, and a row for
// each event that says it was applied.
const projectorSchema = `
CREATE TABLE article_users (LIKE users INCLUDING ALL);
CREATE TABLE article_locks (aggregate_id uuid, event_name text, view text, PRIMARY KEY (aggregate_id, event_name, view));`

// prepareProject compares the views' batches with a projector that handles each
// event in a transaction of its own, as the article's does.
func prepareProject(ctx context.Context, s *stage) ([]subject, error) {
	program, err := s.program(ctx, "project")
	if err != nil {
		return nil, err
	}
	if _, err := program.db.ExecContext(ctx, projectorSchema); err != nil {
		return nil, fmt.Errorf("make the baseline's tables: %w", err)
	}
	p := &projection{stage: s, program: program}
	const one = "project one by one"
	return []subject{
		{
			name: "project", what: "events into the users view", unit: perSecond,
			checks: []check{versus(one).least(15)}, run: p.batches,
		},
		{name: one, what: "a transaction for each event", unit: perSecond, run: p.oneByOne},
	}, nil
}

// projection is the suite's state between rounds.
type projection struct {
	*stage

	program *server
	stored  int // events in the log
	applied int // of those, by the baseline
}

// batches holds the views, lets the log grow, lets go and takes the time until
// the views have caught up.
func (p *projection) batches(ctx context.Context) (_ sample, err error) {
	release, err := p.program.holdViews(ctx)
	if err != nil {
		return sample{}, err
	}
	const perSecondOfRun = 20_000
	events := int(perSecondOfRun * p.options.Duration.Seconds())
	if err := p.program.fill(ctx, p.stored, p.stored+events); err != nil {
		return sample{}, errors.Join(err, release())
	}
	p.stored += events
	if err := release(); err != nil {
		return sample{}, fmt.Errorf("let go of the views: %w", err)
	}
	busy, start := p.watchCores(p.program.pid(), 0), now()
	// One more event wakes the view at once.
	if err := p.program.fill(ctx, p.stored, p.stored+1); err != nil {
		return sample{}, err
	}
	p.stored++
	if err := p.program.settle(ctx); err != nil {
		return sample{}, err
	}
	return sample{figure: float64(events) / now().Sub(start).Seconds(), cores: busy()}, nil
}

// oneByOne applies events for the time of a measurement.
func (p *projection) oneByOne(ctx context.Context) (sample, error) {
	busy, start := p.watchCores(0, 0), now()
	events := 0
	for now().Sub(start) < p.options.Duration && p.applied < p.stored {
		p.applied++
		if err := p.applyOne(ctx, p.applied); err != nil {
			return sample{}, fmt.Errorf("apply event %d: %w", p.applied, err)
		}
		events++
	}
	return sample{figure: float64(events) / now().Sub(start).Seconds(), cores: busy()}, nil
}

// applyOne does what the article's listener does for a notification: load the
// event, then write the row and the lock together.
func (p *projection) applyOne(ctx context.Context, position int) error {
	var e struct {
		AggregateID string    `bun:"aggregate_id"`
		Name        string    `bun:"name"`
		UserName    string    `bun:"user_name"`
		Email       string    `bun:"email"`
		RecordedAt  time.Time `bun:"recorded_at"`
	}
	db := p.program.db
	err := db.NewRaw(`SELECT aggregate_id, name, payload ->> 'name' AS user_name, payload ->> 'email' AS email, recorded_at
		FROM events WHERE "position" = ?`, position).Scan(ctx, &e)
	if err != nil {
		return fmt.Errorf("load it: %w", err)
	}
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { //nolint:wrapcheck // the caller names the event
		_, err := tx.ExecContext(ctx, "INSERT INTO article_users (id, name, email, version, created_at, updated_at) VALUES (?, ?, ?, 1, ?, ?)",
			e.AggregateID, e.UserName, e.Email, e.RecordedAt, e.RecordedAt)
		if err != nil {
			return fmt.Errorf("write the row: %w", err)
		}
		if _, err = tx.ExecContext(ctx, "INSERT INTO article_locks VALUES (?, ?, 'users')", e.AggregateID, e.Name); err != nil {
			return fmt.Errorf("write the lock: %w", err)
		}
		return nil
	})
}
