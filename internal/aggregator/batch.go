package aggregator

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
)

// batch is one transaction's worth of a view: it applies the events after the view's
// position, read or remembered, and commits rows, locks and the new position together, or
// nothing.
type batch struct {
	tx       bun.Tx
	view     View
	registry *eventsourcing.Registry
	read     ReadLog
	window   int64 // how many positions it covers at most
	// rebuild makes it a batch of the view's rebuild instead of the live view.
	rebuild bool
	// careful makes it look where it otherwise presumes: which versions were
	// applied already, and which row the database refuses.
	careful bool
}

// errUnforeseen ends a batch that presumed that nothing of what it takes was applied yet
// and that all of it can be, when something cannot. Why presume: it is so nearly
// always, and saves a round trip of three. Where something was applied already, or
// the database refuses a row, PostgreSQL ends the batch; see isRefusedRow. Either
// way a careful one comes next.
var errUnforeseen = errors.New("not as presumed")

// Why these sizes: positions have no gaps, so a window bounds a batch's events,
// and the budget its memory, whatever the log holds. 1,000 keeps a live view's
// transaction below 50 ms. A rebuild has nobody waiting, and is 1.4 times as
// fast with 5,000 as with 1,000.
const (
	liveWindow    = 1_000
	rebuildWindow = 5_000
	payloadBudget = 16 << 20
)

// name is the view's in view_positions and view_parked, and its table's.
func (b batch) name() string {
	if b.rebuild {
		return b.view.rebuildName()
	}
	return b.view.Name
}

// run applies the next window of the log. A rebuild has read it ahead, if it could.
func (b batch) run(ctx context.Context) (result, error) {
	most := b.window
	if b.rebuild {
		most = 0
	}
	r, err := b.claim(ctx, most)
	switch {
	case err != nil || r.standing != ready || r.position >= r.head:
		return r, err
	case b.rebuild:
		return r, b.fill(ctx, &r)
	default:
		return r, b.take(ctx, &r, r.claimed)
	}
}

// fill reads the window after r.position and takes it.
func (b batch) fill(ctx context.Context, r *result) error {
	events, err := b.read(ctx, b.tx, b.next(*r))
	if err != nil {
		return err
	}
	return b.take(ctx, r, events)
}

// next is the window after r.position.
func (b batch) next(r result) LogRange {
	return LogRange{
		Aggregate: b.view.Aggregate, After: r.position, UpTo: min(r.head, r.position+b.window), PayloadBudget: payloadBudget,
	}
}

// take applies the events of the window after r.position and advances.
func (b batch) take(ctx context.Context, r *result, events []eventsourcing.Recorded) error {
	upTo := b.next(*r).UpTo
	if overBudget(events) {
		upTo = events[len(events)-1].Position
	}
	events, unknown := b.known(events)
	if unknown != nil {
		r.unknown = unknown
		upTo = unknown.Event.Position - 1
	}
	work, err := b.admit(ctx, group(events), r.waiting)
	if err != nil {
		return err
	}
	if r.parked, err = b.apply(ctx, work, r); err != nil {
		return err
	}
	if len(r.parked) > 0 && !b.careful && !b.rebuild {
		return errUnforeseen
	}
	r.waiting = r.waiting || len(r.parked) > 0 // for the next window of this transaction
	r.position = upTo
	if err := b.advance(ctx, *r); err != nil {
		return err
	}
	return b.judge(ctx, r)
}

// overBudget tells whether the reader may have stopped early.
func overBudget(events []eventsourcing.Recorded) bool {
	size := 0
	for _, e := range events {
		size += len(e.Payload)
	}
	return size >= payloadBudget
}

// claim takes the view's row and reads the events of the next so many positions.
// Whoever holds the row works on this view; a holder that dies frees it with its
// connection. It waits for nobody: what the other replica is doing is what this one
// would do.
//
// A rebuild may go as far as the live view and no further, so that in the end
// both stand at the same position.
//
// The commit does not wait for the disk. Why: what a crash of PostgreSQL takes
// from a view, rows, locks and position together, is applied again from the log.
// Waiting would hold up appends too, because commits that notify wait for each
// other: where a flush takes 1 ms, they are 1.4 times as fast at 64 connections
// without. Why for the transaction and not the session: behind a pooler somebody
// else gets the session next, with an append that has to be on the disk.
func (b batch) claim(ctx context.Context, most int64) (r result, err error) {
	var follows *string // the log
	if b.rebuild {
		follows = &b.view.Name
	}
	rows, err := b.tx.QueryContext(ctx, "SELECT * FROM view_claim(?, ?, ?, ?, ?)",
		b.name(), follows, b.view.Aggregate, b.view.Revision, most)
	if err == nil {
		r, err = b.scanClaim(rows)
	}
	if err != nil {
		return r, fmt.Errorf("claim view %s: %w", b.name(), err)
	}
	return r, nil
}

// scanClaim takes the answer of view_claim: a row about the view, and its events.
func (b batch) scanClaim(rows *sql.Rows) (r result, err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		return result{standing: absent}, rows.Err() //nolint:wrapcheck // claim does
	}
	r = newResult()
	var isHalted string
	unused := make([]any, len(eventsourcing.Columns(new(eventsourcing.Recorded))))
	for i := range unused {
		unused[i] = new(any)
	}
	if err := rows.Scan(append([]any{&r.position, &r.head, &r.revision, &isHalted, &r.waiting}, unused...)...); err != nil {
		return r, err //nolint:wrapcheck // as above
	}
	r.from = r.position
	switch {
	case r.revision > b.view.Revision:
		r.standing = newer
	case isHalted != "":
		r.standing = halted
	}
	for size := 0; size < payloadBudget && rows.Next(); {
		var e eventsourcing.Recorded
		if err := rows.Scan(append(unused[:5:5], eventsourcing.Columns(&e)...)...); err != nil {
			return r, err //nolint:wrapcheck // as above
		}
		r.claimed = append(r.claimed, e)
		size += len(e.Payload)
	}
	return r, rows.Err() //nolint:wrapcheck // as above
}

// known cuts the events before the first that a newer program recorded: it is
// never skipped, and another replica will know it.
func (b batch) known(events []eventsourcing.Recorded) ([]eventsourcing.Recorded, *EventError) {
	for i, e := range events {
		if !knows(b.registry, e.Name, e.SchemaVersion) {
			err := fmt.Errorf("%w %s version %d", eventsourcing.ErrUnknown, e.Name, e.SchemaVersion)
			return events[:i], &EventError{Event: e, Err: err}
		}
	}
	return events, nil
}

func knows(registry *eventsourcing.Registry, name string, schemaVersion int) bool {
	t, ok := registry.Lookup(name)
	return ok && schemaVersion <= t.SchemaVersion()
}

// group collects the events by aggregate, in the order of their first event.
func group(events []eventsourcing.Recorded) []*history {
	var work []*history
	byID := make(map[uuid.UUID]*history)
	for _, e := range events {
		h := byID[e.AggregateID]
		if h == nil {
			h = &history{aggregateID: e.AggregateID}
			byID[e.AggregateID] = h
			work = append(work, h)
		}
		h.events = append(h.events, e)
	}
	return work
}

// admit drops what the view has already applied and what waits behind a parked
// event. What remains of each aggregate starts with exactly the next version:
// that is looked up if the batch is careful, and else presumed.
func (b batch) admit(ctx context.Context, work []*history, waiting bool) ([]*history, error) {
	looks := waiting || b.careful && !b.rebuild
	if len(work) == 0 || !looks {
		return work, nil
	}
	locked, parked, err := b.locks(ctx, work)
	if err != nil {
		return nil, err
	}
	next := work[:0]
	for _, h := range work {
		if parked[h.aggregateID] {
			continue
		}
		if !b.rebuild {
			if err := h.skip(locked[h.aggregateID]); err != nil {
				return nil, fmt.Errorf("view %s: %w", b.view.Name, err)
			}
		}
		if len(h.events) > 0 {
			next = append(next, h)
		}
	}
	return next, nil
}

// skip drops the events up to the version applied. The log has no gaps, so if
// what remains does not follow then the locks are not of this log.
func (h *history) skip(version int) error {
	for len(h.events) > 0 && h.events[0].Version <= version {
		h.events = h.events[1:]
	}
	for i, e := range h.events {
		if e.Version != version+1+i {
			return fmt.Errorf("version %d of aggregate %s was applied and the next in the log is %d: run app verify, then rebuild the view",
				version+i, h.aggregateID, e.Version)
		}
	}
	return nil
}

// locks gives the last version applied of each aggregate and which of them are
// parked. A rebuild has no locks; see the package's documentation.
//
// Why all that is parked and not what is parked of these: it is next to nothing,
// or the view halts.
func (b batch) locks(ctx context.Context, work []*history) (locked map[uuid.UUID]int, parked map[uuid.UUID]bool, err error) {
	var ids []uuid.UUID
	if !b.rebuild {
		ids = make([]uuid.UUID, len(work))
		for i, h := range work {
			ids[i] = h.aggregateID
		}
	}
	var rows []struct {
		AggregateID uuid.UUID `bun:"aggregate_id"`
		Version     int       `bun:"version"`
	}
	// Why LATERAL and LIMIT: with the ids as a list PostgreSQL's choice for a table
	// that grew since it was last analyzed is to read all locks of the view and
	// compare each with the list: 18 ms a batch at 60,000 locks, and growing.
	err = b.tx.NewRaw(`SELECT w.aggregate_id, l.version FROM unnest(?1::uuid[]) AS w (aggregate_id)
	  CROSS JOIN LATERAL (SELECT version FROM view_locks WHERE view = ?0 AND aggregate_id = w.aggregate_id LIMIT 1) l
	 UNION ALL SELECT aggregate_id, 0 FROM view_parked WHERE view = ?0`, b.name(), pgdialect.Array(ids)).Scan(ctx, &rows)
	if err != nil {
		return nil, nil, fmt.Errorf("read the locks of view %s: %w", b.name(), err)
	}
	locked, parked = make(map[uuid.UUID]int, len(rows)), make(map[uuid.UUID]bool)
	for _, r := range rows {
		if r.Version == 0 {
			parked[r.AggregateID] = true
		} else {
			locked[r.AggregateID] = r.Version
		}
	}
	return locked, parked, nil
}

// apply folds the work into the table and notes what came of it: locks to move,
// and the failures, which it parks and returns.
func (b batch) apply(ctx context.Context, work []*history, r *result) ([]*EventError, error) {
	if len(work) == 0 {
		return nil, nil
	}
	p := projection{tx: b.tx, table: b.name(), work: work, registry: b.registry, careful: b.careful, took: r.took}
	var err error
	if b.careful {
		err = b.projectCarefully(ctx, p)
	} else {
		err = b.view.project(postgres.Later(ctx), p)
	}
	if err != nil {
		return nil, err
	}
	var failures []*EventError
	for _, h := range work {
		for _, e := range h.events[:h.applied] {
			r.applied[e.Name]++
		}
		r.events += h.applied
		if h.applied > 0 && !b.rebuild {
			r.moves.ids = append(r.moves.ids, h.aggregateID)
			r.moves.from = append(r.moves.from, h.events[0].Version-1)
			r.moves.to = append(r.moves.to, h.events[h.applied-1].Version)
			r.moves.rows = append(r.moves.rows, h.row)
		}
		if h.failed != nil {
			failures = append(failures, h.failed)
		}
	}
	return failures, b.park(ctx, failures)
}

// advance moves the locks, stores the position and what happened on the way, and
// tells the requests that wait at other replicas. Nobody waits for a rebuild.
//
// A lock that is not where it was presumed refuses the whole batch: the version
// was applied before, or was moved by somebody who does not hold the view. Like
// everything that is written it goes with what comes next, most often COMMIT.
func (b batch) advance(ctx context.Context, r result) error {
	_, err := b.tx.NewRaw(`SELECT view_advanced(view_advance(?0, ?1, ?2::uuid[], ?3::integer[], ?4::integer[], ?5, ?6, ?7 * interval '1 second', ?8), ?0)`,
		b.name(), r.position, pgdialect.Array(r.moves.ids), pgdialect.Array(r.moves.from), pgdialect.Array(r.moves.to),
		r.events+len(r.parked), len(r.parked), watch.Seconds(), !b.rebuild).Exec(postgres.Later(ctx))
	if err != nil {
		return fmt.Errorf("advance view %s to position %d: %w", b.name(), r.position, err)
	}
	return nil
}
