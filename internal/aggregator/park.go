package aggregator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/postgres"
)

// maxAttempts is how often an event is tried, with a back-off of 1, 2, 4 and 8
// seconds between, before its aggregate waits for somebody to ask.
const maxAttempts = 5

// Why these bounds: a retry is one transaction, and behind a parked event any
// number of others may wait.
const (
	retriesPerBatch = 10
	retryEvents     = 1_000
)

// When a view halts: more than maxParked aggregates are parked, or within the
// watch at least minParked were and they are more than one in maxShare of the
// events tried. A watch is a stretch of five minutes that begins with the first
// batch after the one before has ended.
//
// Why the floor: without it one bad event on a quiet day would stop its
// neighbours, which is what parking is there to prevent.
const (
	watch     = 5 * time.Minute
	maxParked = 100
	minParked = 10
	maxShare  = 100
)

// parkedRow is one row of view_parked.
type parkedRow struct {
	bun.BaseModel `bun:"table:view_parked,alias:p"`

	View        string    `bun:"view,pk"`
	AggregateID uuid.UUID `bun:"aggregate_id,pk"`
	Position    int64     `bun:"position"`
}

// park sets aggregates aside whose next event failed. Their later events wait
// behind it in the log; everybody else's flow. An event that had failed before
// has one attempt more.
func (b batch) park(ctx context.Context, failures []*EventError) error {
	if len(failures) == 0 {
		return nil
	}
	var aggregates, events []uuid.UUID
	var positions []int64
	var versions []int
	var errs []string
	for _, f := range failures {
		aggregates, events = append(aggregates, f.Event.AggregateID), append(events, f.Event.ID)
		positions, versions = append(positions, f.Event.Position), append(versions, f.Event.Version)
		errs = append(errs, text(f.Err))
	}
	_, err := b.tx.NewRaw(`INSERT INTO view_parked AS p (view, aggregate_id, event_id, "position", version, error, attempts, retry_at)
	 SELECT ?0, n.aggregate_id, n.event_id, n."position", n.version, n.error, 1, clock_timestamp() + interval '1 second'
	   FROM unnest(?1::uuid[], ?2::uuid[], ?3::bigint[], ?4::integer[], ?5::text[])
	     AS n (aggregate_id, event_id, "position", version, error)
	     ON CONFLICT (view, aggregate_id) DO UPDATE
	    SET event_id = EXCLUDED.event_id, "position" = EXCLUDED."position", version = EXCLUDED.version, error = EXCLUDED.error,
	        attempts = CASE WHEN p.event_id = EXCLUDED.event_id THEN p.attempts + 1 ELSE 1 END,
	        retry_at = CASE WHEN p.event_id <> EXCLUDED.event_id THEN EXCLUDED.retry_at
	                        WHEN p.attempts + 1 < ?6 THEN clock_timestamp() + 2 ^ p.attempts * interval '1 second' END`,
		b.name(), pgdialect.Array(aggregates), pgdialect.Array(events), pgdialect.Array(positions), pgdialect.Array(versions),
		pgdialect.Array(errs), maxAttempts).Exec(ctx)
	if err != nil {
		return fmt.Errorf("park %d aggregates in view %s: %w", len(failures), b.name(), err)
	}
	return nil
}

// judge halts the view when too much of what it does fails: that is a bug in
// code, and going on would only park more. What the batch did is kept.
func (b batch) judge(ctx context.Context, r *result) error {
	if len(r.parked) == 0 {
		return nil
	}
	var total, recent, events int64
	err := b.tx.NewRaw(`SELECT (SELECT count(*) FROM view_parked p WHERE p.view = v.view), v.watch_parked, v.watch_events
	   FROM view_positions v WHERE v.view = ?`, b.name()).Scan(ctx, &total, &recent, &events)
	if err != nil {
		return fmt.Errorf("count what is parked in view %s: %w", b.name(), err)
	}
	switch {
	case total > maxParked:
		r.halted = fmt.Sprintf("%d aggregates are parked, more than %d", total, maxParked)
	case recent >= minParked && recent*maxShare > events:
		r.halted = fmt.Sprintf("%d of the last %d events could not be applied, more than 1 in %d", recent, events, maxShare)
	default:
		return nil
	}
	_, err = b.tx.NewRaw("UPDATE view_positions SET halted = ? WHERE view = ?", r.halted, b.name()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("halt view %s: %w", b.name(), err)
	}
	return nil
}

// mend tries what is parked again, and gives the view its row where there is none
// any more: a backup from before the view may have taken the database's place.
func (r *Runner) mend(ctx context.Context, v View) error {
	res, err := r.inBatch(ctx, r.live(v), batch.retry)
	if err == nil && res.standing == absent {
		err = r.enrol(ctx, v)
	}
	return err
}

// retry tries parked aggregates whose time has come, also of a halted view: it
// is how one finds out whether a fix works.
func (b batch) retry(ctx context.Context) (result, error) {
	r, err := b.claim(ctx, 0)
	if err != nil || r.standing == absent || r.standing == newer {
		return r, err
	}
	var due []parkedRow
	err = b.tx.NewSelect().Model(&due).Where("view = ?", b.view.Name).Where("retry_at <= clock_timestamp()").
		OrderExpr("retry_at").Limit(retriesPerBatch).Scan(ctx)
	if err != nil {
		return r, fmt.Errorf("read what is parked in view %s: %w", b.view.Name, err)
	}
	for _, p := range due {
		if err := b.retryOne(ctx, p, &r); err != nil {
			return r, err
		}
	}
	if r.retried == 0 {
		return r, nil
	}
	return r, b.advance(ctx, r)
}

// retryOne applies the parked event and those behind it. When that succeeds, or
// nothing is left to apply, the aggregate is parked no more; when more wait than
// one transaction should do, the next of them takes the parked event's place and
// is due at once.
func (b batch) retryOne(ctx context.Context, p parkedRow, r *result) error {
	events, err := b.read(ctx, b.tx, LogRange{
		AggregateID: p.AggregateID, After: p.Position - 1, UpTo: r.position, Limit: retryEvents + 1, PayloadBudget: payloadBudget,
	})
	if err != nil {
		return err
	}
	more := len(events) > 1 && (len(events) > retryEvents || overBudget(events))
	events, unknown := b.known(events)
	if unknown != nil && len(events) == 0 {
		return nil // a newer replica will see to it
	}
	var rest *eventsourcing.Recorded
	switch {
	case unknown != nil:
		rest = &unknown.Event
	case more:
		rest = &events[len(events)-1]
		events = events[:len(events)-1]
	}
	return b.reapply(ctx, p, group(events), rest, r)
}

func (b batch) reapply(ctx context.Context, p parkedRow, work []*history, rest *eventsourcing.Recorded, r *result) error {
	locked, _, err := b.locks(ctx, work)
	if err != nil {
		return err
	}
	r.retried++
	for _, h := range work {
		if err := h.skip(locked[h.aggregateID]); err != nil {
			return fmt.Errorf("view %s: %w", b.view.Name, err)
		}
	}
	work = slices.DeleteFunc(work, func(h *history) bool { return len(h.events) == 0 })
	if failures, err := b.apply(ctx, work, r); err != nil || len(failures) > 0 {
		return err
	}
	if rest == nil {
		_, err = b.tx.NewDelete().Model(&p).WherePK().Exec(ctx)
	} else {
		_, err = b.tx.NewRaw(`UPDATE view_parked SET event_id = ?, "position" = ?, version = ?, attempts = 1, retry_at = clock_timestamp()
		  WHERE view = ? AND aggregate_id = ?`, rest.ID, rest.Position, rest.Version, p.View, p.AggregateID).Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("take aggregate %s out of view %s's parked: %w", p.AggregateID, p.View, err)
	}
	return nil
}

// maxErrorText bounds what is kept of an error.
const maxErrorText = 2_000

// text is an error as PostgreSQL can keep it.
func text(err error) string {
	s := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", ""), "\uFFFD")
	if runes := []rune(s); len(runes) > maxErrorText {
		s = string(runes[:maxErrorText]) + " …"
	}
	return s
}

// find looks up a view by a name that came from outside.
func (r *Runner) find(name string) (View, error) {
	names := make([]string, len(r.views))
	for i, v := range r.views {
		if v.Name == name {
			return v, nil
		}
		names[i] = v.Name
	}
	return View{}, fault.New(fault.NotFound, "not-found", fmt.Sprintf("There is no view %q. There are: %s.", name, strings.Join(names, ", ")))
}

// Parked is an aggregate that a view has set aside, with the event it could not
// apply.
type Parked struct {
	AggregateID uuid.UUID              `json:"aggregate_id"`
	Error       string                 `json:"error"`
	Event       eventsourcing.Recorded `json:"event"`
	// Attempts is how often the event was tried since somebody asked last.
	Attempts int                `json:"attempts"`
	ParkedAt eventsourcing.Time `json:"parked_at"`
	// RetryAt is nil when it is not tried again before somebody asks.
	RetryAt *eventsourcing.Time `json:"retry_at"`
}

// Parked lists what a view has parked, in the order of the events' positions,
// after a position and up to limit. An unknown view is a fault.NotFound.
func (r *Runner) Parked(ctx context.Context, view string, after int64, limit int) ([]Parked, error) {
	if _, err := r.find(view); err != nil {
		return nil, err
	}
	var rows []struct {
		Parked string `bun:"parked"`
	}
	err := r.reader.NewRaw(`SELECT json_build_object('aggregate_id', p.aggregate_id, 'error', p.error, 'event', row_to_json(e),
	        'attempts', p.attempts, 'parked_at', p.parked_at, 'retry_at', p.retry_at)::text AS parked
	   FROM view_parked p JOIN events e ON e."position" = p."position"
	  WHERE p.view = ? AND p."position" > ? ORDER BY p."position" LIMIT ?`, view, after, limit).Scan(ctx, &rows)
	if err != nil {
		return nil, postgres.Fault(fmt.Errorf("list what is parked in view %s: %w", view, err))
	}
	parked := make([]Parked, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal([]byte(row.Parked), &parked[i]); err != nil {
			return nil, fmt.Errorf("read what is parked in view %s: %w", view, err)
		}
	}
	return parked, nil
}

// Retry asks for another attempt at a parked aggregate, which whoever works on
// the view makes within a second; a fault.NotFound says that it is not parked.
// With uuid.Nil it is about all that the view has parked and lets the view go on
// if it was halted. It gives the number of aggregates.
func (r *Runner) Retry(ctx context.Context, view string, aggregateID uuid.UUID) (int, error) {
	if _, err := r.find(view); err != nil {
		return 0, err
	}
	all := aggregateID == uuid.Nil
	var n int64
	err := postgres.InTx(ctx, r.reader, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		if all {
			// First, in the order in which a batch locks.
			_, err := tx.NewRaw(`UPDATE view_positions SET halted = NULL, watch_since = now(), watch_events = 0, watch_parked = 0
			  WHERE view = ?`, view).Exec(ctx)
			if err != nil {
				return fmt.Errorf("let view %s go on: %w", view, err)
			}
		}
		res, err := tx.NewRaw(`UPDATE view_parked SET retry_at = clock_timestamp(), attempts = 1
		  WHERE view = ? AND (? OR aggregate_id = ?)`, view, all, aggregateID).Exec(ctx)
		if err != nil {
			return fmt.Errorf("retry what is parked in view %s: %w", view, err)
		}
		n, err = res.RowsAffected()
		return err //nolint:wrapcheck // pgdriver's RowsAffected never fails
	})
	if err == nil && n == 0 && !all {
		err = fault.New(fault.NotFound, "not-found", "Aggregate "+aggregateID.String()+" is not parked in view "+view+".")
	}
	return int(n), err
}
