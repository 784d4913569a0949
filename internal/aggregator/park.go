package aggregator

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// maxAttempts is how often an event is tried, with a back-off of 1, 2, 4 and 8
// seconds between, before its aggregate waits for somebody to ask.
const maxAttempts = 5

// retriesPerPass bounds how many parked aggregates one transaction tries.
const retriesPerPass = 10

// parkedRow is one row of view_parked.
type parkedRow struct {
	bun.BaseModel `bun:"table:view_parked,alias:p"`

	View        string     `bun:"view,pk"`
	AggregateID uuid.UUID  `bun:"aggregate_id,pk"`
	EventID     uuid.UUID  `bun:"event_id"`
	Position    int64      `bun:"position"`
	Version     int        `bun:"version"`
	Error       string     `bun:"error"`
	Attempts    int        `bun:"attempts"`
	ParkedAt    time.Time  `bun:"parked_at,default:clock_timestamp()"`
	RetryAt     *time.Time `bun:"retry_at"`
}

// park sets aggregates aside whose next event failed for the first time. Their
// later events wait behind it in the log; everybody else's flow.
func (b batch) park(ctx context.Context, failures []*EventError) error {
	for _, f := range failures {
		if err := b.parkOne(ctx, f, 1); err != nil {
			return err
		}
	}
	return nil
}

func (b batch) parkOne(ctx context.Context, f *EventError, attempts int) error {
	backOff := time.Duration(1<<(attempts-1)) * time.Second
	_, err := b.tx.NewRaw(`INSERT INTO view_parked AS p (view, aggregate_id, event_id, "position", version, error, attempts, retry_at)
	 VALUES (?, ?, ?, ?, ?, ?, ?, CASE WHEN ? < ? THEN clock_timestamp() + ? * interval '1 second' END)
	     ON CONFLICT (view, aggregate_id) DO UPDATE
	    SET event_id = EXCLUDED.event_id, "position" = EXCLUDED."position", version = EXCLUDED.version,
	        error = EXCLUDED.error, attempts = EXCLUDED.attempts, retry_at = EXCLUDED.retry_at`,
		b.view.Name, f.Event.AggregateID, f.Event.ID, f.Event.Position, f.Event.Version, f.Err.Error(),
		attempts, attempts, maxAttempts, backOff.Seconds()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("park aggregate %s in view %s: %w", f.Event.AggregateID, b.view.Name, err)
	}
	return nil
}

// retry tries parked aggregates whose time has come. Those that apply now, with
// all that waited behind, are parked no more.
func (b batch) retry(ctx context.Context) (result, error) {
	r, err := b.claim(ctx)
	if err != nil || r.busy {
		return r, err
	}
	var due []parkedRow
	err = b.tx.NewSelect().Model(&due).Where("view = ?", b.view.Name).Where("retry_at <= clock_timestamp()").
		OrderExpr("retry_at").Limit(retriesPerPass).Scan(ctx)
	if err != nil {
		return r, fmt.Errorf("read what is parked in view %s: %w", b.view.Name, err)
	}
	for _, p := range due {
		if err := b.retryOne(ctx, p, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (b batch) retryOne(ctx context.Context, p parkedRow, r *result) error {
	// The row goes first: lock() leaves parked aggregates out.
	_, err := b.tx.NewDelete().Model(&p).WherePK().Exec(ctx)
	if err != nil {
		return fmt.Errorf("take aggregate %s out of view %s's parked: %w", p.AggregateID, b.view.Name, err)
	}
	events, err := b.read(ctx, b.tx, LogRange{AggregateID: p.AggregateID, After: p.Position - 1, UpTo: r.position})
	if err != nil {
		return err
	}
	work, unknown := b.decode(events)
	if unknown != nil {
		return unknown
	}
	if work, err = b.lock(ctx, work); err != nil {
		return err
	}
	before := len(r.parked)
	if err := b.apply(ctx, work, r); err != nil {
		return err
	}
	for _, again := range r.parked[before:] {
		if again.Event.ID != p.EventID {
			continue // another event of the aggregate: its own first attempt
		}
		if err := b.parkOne(ctx, again, p.Attempts+1); err != nil {
			return err
		}
	}
	return nil
}

// Retry asks for another attempt at a parked aggregate, or at all of the view's
// with uuid.Nil. It gives the number of aggregates it found parked.
func (r *Runner) Retry(ctx context.Context, view string, aggregateID uuid.UUID) (int, error) {
	q := r.db.NewUpdate().Model((*parkedRow)(nil)).
		Set("retry_at = clock_timestamp()").Set("attempts = 1").Where("view = ?", view)
	if aggregateID != uuid.Nil {
		q = q.Where("aggregate_id = ?", aggregateID)
	}
	res, err := q.Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("retry what is parked in view %s: %w", view, err)
	}
	n, err := res.RowsAffected()
	return int(n), err
}
