package aggregator

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
)

// batch is one transaction's worth of a view: it reads the log after the view's
// position and commits rows, locks and the new position together, or nothing.
type batch struct {
	tx       bun.Tx
	view     View
	registry *eventsourcing.Registry
	read     ReadLog
}

// result is what a batch did.
type result struct {
	busy     bool  // another replica has the view; nothing was done
	from     int64 // the view's position before
	position int64 // and after
	head     int64 // the log's last position when the batch began
	events   int   // how many events were applied
	parked   []*EventError
	unknown  *EventError // the batch ended before an event that this program does not know
}

// window is how many positions a batch covers. Positions have no gaps, so this
// bounds the events, the memory and the time of a batch whatever the log holds.
const window = 1000

func (b batch) run(ctx context.Context) (result, error) {
	r, err := b.claim(ctx)
	if err != nil || r.busy || r.position == r.head {
		return r, err
	}
	upTo := min(r.head, r.position+window)
	events, err := b.read(ctx, b.tx, LogRange{Aggregate: b.view.Aggregate, After: r.position, UpTo: upTo})
	if err != nil {
		return r, err
	}
	work, unknown := b.decode(events)
	if unknown != nil {
		r.unknown = unknown
		upTo = unknown.Event.Position - 1
	}
	if work, err = b.lock(ctx, work); err != nil {
		return r, err
	}
	if err := b.apply(ctx, work, &r); err != nil {
		return r, err
	}
	r.position = upTo
	return r, b.advance(ctx, r)
}

// claim takes the view's row. Whoever holds it works on this view; a holder that
// dies frees it with its connection. It waits for nobody: what the other
// replica is doing is what this one would do.
func (b batch) claim(ctx context.Context) (result, error) {
	var rows []struct {
		Position int64 `bun:"position"`
		Head     int64 `bun:"head"`
	}
	err := b.tx.NewRaw(`SELECT v."position", h."position" AS head
	   FROM view_positions v CROSS JOIN event_log_head h
	  WHERE v.view = ? FOR NO KEY UPDATE OF v SKIP LOCKED`, b.view.Name).Scan(ctx, &rows)
	if err != nil {
		return result{}, fmt.Errorf("claim view %s: %w", b.view.Name, err)
	}
	if len(rows) == 0 {
		return result{busy: true}, nil
	}
	return result{from: rows[0].Position, position: rows[0].Position, head: rows[0].Head}, nil
}

// decode groups the events by aggregate, in the order of their first event. An
// event of a newer program ends the batch before it: it is never skipped, and
// another replica will know it. One that cannot be decoded is a poison event.
func (b batch) decode(events []eventsourcing.Recorded) ([]*history, *EventError) {
	var work []*history
	byID := make(map[uuid.UUID]*history)
	for _, e := range events {
		e, payload, err := decodeSafely(b.registry, e)
		if errors.Is(err, eventsourcing.ErrUnknown) {
			return work, &EventError{Event: e, Err: err}
		}
		if err != nil {
			payload = err
		}
		h := byID[e.AggregateID]
		if h == nil {
			h = &history{aggregateID: e.AggregateID}
			byID[e.AggregateID] = h
			work = append(work, h)
		}
		h.events = append(h.events, e)
		h.payloads = append(h.payloads, payload)
	}
	return work, nil
}

// decodeSafely gives the event as its newest schema version has it, also to
// views that read its payload themselves.
func decodeSafely(registry *eventsourcing.Registry, e eventsourcing.Recorded) (newest eventsourcing.Recorded, payload any, err error) {
	newest = e
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in the upcaster: %v", p)
		}
	}()
	if newest, err = registry.Upcast(e); err != nil {
		return e, nil, err
	}
	payload, err = registry.Decode(newest)
	return newest, payload, err
}

// lock drops what the view has already applied and what waits behind a parked
// event. What remains of each aggregate starts with exactly the next version.
func (b batch) lock(ctx context.Context, work []*history) ([]*history, error) {
	if len(work) == 0 {
		return nil, nil
	}
	ids := make([]uuid.UUID, len(work))
	for i, h := range work {
		ids[i] = h.aggregateID
	}
	var rows []struct {
		AggregateID uuid.UUID `bun:"aggregate_id"`
		Version     int       `bun:"version"`
		Parked      bool      `bun:"parked"`
	}
	err := b.tx.NewRaw(`SELECT i.id AS aggregate_id, coalesce(l.version, 0) AS version, p.view IS NOT NULL AS parked
	   FROM unnest(?::uuid[]) AS i (id)
	   LEFT JOIN view_locks l ON l.view = ? AND l.aggregate_id = i.id
	   LEFT JOIN view_parked p ON p.view = ? AND p.aggregate_id = i.id
	  WHERE l.view IS NOT NULL OR p.view IS NOT NULL`,
		pgdialect.Array(ids), b.view.Name, b.view.Name).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read the locks of view %s: %w", b.view.Name, err)
	}
	locked := make(map[uuid.UUID]int, len(rows))
	parked := make(map[uuid.UUID]bool)
	for _, r := range rows {
		locked[r.AggregateID], parked[r.AggregateID] = r.Version, r.Parked
	}
	next := work[:0]
	for _, h := range work {
		if parked[h.aggregateID] {
			continue
		}
		version := locked[h.aggregateID]
		for len(h.events) > 0 && h.events[0].Version <= version {
			h.events, h.payloads = h.events[1:], h.payloads[1:]
		}
		if len(h.events) == 0 {
			continue
		}
		if h.events[0].Version != version+1 {
			return nil, fmt.Errorf("view %s has applied version %d of aggregate %s and the next in the log is %d: run app verify",
				b.view.Name, version, h.aggregateID, h.events[0].Version)
		}
		next = append(next, h)
	}
	return next, nil
}

// apply folds the work into the table and records what came of it.
func (b batch) apply(ctx context.Context, work []*history, r *result) error {
	if len(work) == 0 {
		return nil
	}
	if err := b.view.project(ctx, b.tx, b.view.Name, work); err != nil {
		return err
	}
	var ids []uuid.UUID
	var from, to []int
	for _, h := range work {
		if h.applied > 0 {
			ids = append(ids, h.aggregateID)
			from = append(from, h.events[0].Version-1)
			to = append(to, h.events[h.applied-1].Version)
			r.events += h.applied
		}
		if h.failed != nil {
			r.parked = append(r.parked, h.failed)
		}
	}
	if err := b.park(ctx, r.parked); err != nil {
		return err
	}
	return b.setLocks(ctx, ids, from, to)
}

// setLocks moves each aggregate's lock from the version it was at. One that is
// not there any more was moved by somebody who does not hold the view: the
// whole batch is refused.
func (b batch) setLocks(ctx context.Context, ids []uuid.UUID, from, to []int) error {
	if len(ids) == 0 {
		return nil
	}
	res, err := b.tx.NewRaw(`INSERT INTO view_locks AS l (view, aggregate_id, version)
	 SELECT ?, n.aggregate_id, n.version
	   FROM unnest(?::uuid[], ?::integer[]) AS n (aggregate_id, version)
	     ON CONFLICT (view, aggregate_id) DO UPDATE SET version = EXCLUDED.version
	  WHERE (l.aggregate_id, l.version) IN (SELECT * FROM unnest(?::uuid[], ?::integer[]))`,
		b.view.Name, pgdialect.Array(ids), pgdialect.Array(to), pgdialect.Array(ids), pgdialect.Array(from)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("move the locks of view %s: %w", b.view.Name, err)
	}
	if moved, err := res.RowsAffected(); err != nil || moved != int64(len(ids)) {
		return fmt.Errorf("view %s: %d of %d locks were at the expected version, so nothing was applied", b.view.Name, moved, len(ids))
	}
	return nil
}

// advance stores the position and tells the other replicas' waiting requests.
func (b batch) advance(ctx context.Context, r result) error {
	_, err := b.tx.NewRaw(`WITH moved AS (
	   UPDATE view_positions SET "position" = ?, updated_at = clock_timestamp() WHERE view = ?)
	 SELECT pg_notify('views:updated', ?)`,
		r.position, b.view.Name, fmt.Sprintf("%s,%d", b.view.Name, r.position)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("advance view %s to position %d: %w", b.view.Name, r.position, err)
	}
	return nil
}
