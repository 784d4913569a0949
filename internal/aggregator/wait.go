package aggregator

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
	"onepg/internal/pause"
)

// lookInterval is how often a waiting request asks the database itself: only
// needed when another replica moves the view and its notification is lost, and
// when an event is parked.
const lookInterval = 250 * time.Millisecond

// nextBatch is more than a batch takes that begins now: so long who waits for a version
// expects that it brings it, before they ask the database.
const nextBatch = 5 * time.Millisecond

// waitShare makes who waits for a version rest between two looks: for an eighth of
// the time that it has waited already, and for lookInterval at most. What another
// replica applies is answered late by no more than that, and a long wait seldom asks
// the database.
const waitShare = 8

// Wait returns true as soon as each view shows each of the events, on whichever
// replica, and false when ctx ends first. A view that has read an event but
// parked its aggregate does not show it.
func (r *Runner) Wait(ctx context.Context, views []string, events []eventsourcing.Receipt) bool {
	if len(views) == 0 || len(events) == 0 {
		return true
	}
	var position int64
	for _, e := range events {
		position = max(position, e.Position)
	}
	for {
		r.progress.hurry(views)
		if !r.WaitPosition(ctx, views, position) {
			return false
		}
		if shown, err := r.shown(ctx, views, events); shown && err == nil {
			return true
		}
		if !pause.For(ctx, lookInterval) {
			return false
		}
		r.refresh(ctx, views, r.progress.correct)
	}
}

// WaitPosition returns true as soon as each view is believed to have read the
// log up to the position, and false when ctx ends first.
//
// Why Wait begins with it: a thousand requests that wait for the same
// batch ask the database once each, when there is something to see. By itself it
// makes no view hurry: a stream, which waits all the time, would never let it rest.
func (r *Runner) WaitPosition(ctx context.Context, views []string, position int64) bool {
	return r.waitPosition(ctx, views, position, nil)
}

// waitPosition is WaitPosition, or returns false when something else has happened.
func (r *Runner) waitPosition(ctx context.Context, views []string, position int64, other <-chan struct{}) bool {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for {
		ok, moved := r.progress.reached(views, position)
		if ok {
			return true
		}
		select {
		case <-moved:
		case <-look.C:
			r.refresh(ctx, views, r.progress.advance)
		case <-other:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// Position reads how far the view has read the log, on whichever replica, as
// [View.Position] does. Where a notification said more it lied, and whoever waits
// is not woken by it again.
func (r *Runner) Position(ctx context.Context, v View) (int64, error) {
	believed := r.progress.position(v.Name)
	position, err := v.Position(ctx, r.reader)
	if err == nil {
		r.progress.disprove(v.Name, believed, position)
	}
	return position, err
}

// shown asks view_locks, which moves with the rows: the number of events that
// some view does not show has to be zero.
func (r *Runner) shown(ctx context.Context, views []string, events []eventsourcing.Receipt) (bool, error) {
	newest := make(map[uuid.UUID]int, len(events))
	for _, e := range events {
		newest[e.AggregateID] = max(newest[e.AggregateID], e.Version)
	}
	ids, versions := make([]uuid.UUID, 0, len(newest)), make([]int, 0, len(newest))
	for id, version := range newest {
		ids, versions = append(ids, id), append(versions, version)
	}
	var missing int
	err := r.reader.NewRaw(`SELECT count(*)
	   FROM unnest(?::uuid[], ?::integer[]) AS e (aggregate_id, version) CROSS JOIN unnest(ARRAY[?]) AS v (name)
	   LEFT JOIN view_locks l ON l.view = v.name AND l.aggregate_id = e.aggregate_id
	  WHERE coalesce(l.version, 0) < e.version`, pgdialect.Array(ids), pgdialect.Array(versions), bun.List(views)).Scan(ctx, &missing)
	if err != nil {
		return false, fmt.Errorf("ask whether %d views show %d events: %w", len(views), len(events), err)
	}
	return missing == 0, nil
}

// Recorded tells the views what this process has recorded, in the order of positions: so
// they need not read it, and who waits for it knows that there is something to wait for.
// What they are not told of they read.
func (r *Runner) Recorded(events []eventsourcing.Recorded) { r.recent.note(events) }

// WaitVersion returns true as soon as the view has applied the aggregate's
// version or a later one, on whichever replica, and false when ctx ends first.
// The event need not be recorded yet. It fails when the database cannot be asked.
//
// shows is how the caller reads the row, and whether that shows the version. It is
// asked first, because mostly there is nothing to wait for, unless this process recorded
// the version and the view is not believed to have come to it. So it may never be called.
//
// Where this process applied the version while it was waited for, row is what it
// wrote, a pointer to the view's Row that others may have too. Else it is nil, and the
// caller reads the row; so too where the Row has a field that is read otherwise than
// it was written, as jsonb is.
func (r *Runner) WaitVersion(
	ctx context.Context, view string, aggregateID uuid.UUID, version int, shows func(context.Context) (bool, error),
) (row any, shown bool, err error) {
	row, shown, err = r.waitVersion(ctx, view, aggregateID, version, shows)
	// Why also by the clock: a connection knows the end before ctx does.
	if end, ok := ctx.Deadline(); err != nil && (ctx.Err() != nil || ok && !now().Before(end)) {
		return nil, false, nil //nolint:nilerr // that is why the question failed
	}
	return row, shown, err
}

func (r *Runner) waitVersion(
	ctx context.Context, view string, aggregateID uuid.UUID, version int, shows func(context.Context) (bool, error),
) (row any, shown bool, err error) {
	x := r.expected.expect(view, aggregateID, version)
	defer r.expected.forget(x)
	// Why not always: where the view has not come to it, a look finds nothing, and takes the
	// processor from the batch that brings it.
	if !r.recent.has(aggregateID, version, r.progress.position(view)) {
		if shown, err := shows(ctx); shown || err != nil {
			return nil, shown, err
		}
	}
	r.progress.hurry([]string{view}) // not before: mostly the look finds it, and the view may rest
	x.wait(ctx, nextBatch, x.missed)
	return r.waitAsking(ctx, x)
}

// waitAsking is WaitVersion for what this process has not applied at once.
func (r *Runner) waitAsking(ctx context.Context, x *expectation) (row any, shown bool, err error) {
	began, views := now(), []string{x.view}
	var position int64 // of the version, once it is recorded
	for !isClosed(x.met) && ctx.Err() == nil {
		passed, moved := r.progress.reached(views, position)
		passed = passed && position > 0
		var applied int
		if applied, position, err = r.applied(ctx, x); err != nil || applied >= x.version {
			return nil, err == nil, err
		}
		switch {
		case position == 0:
			r.waitRecorded(ctx, x, moved, began)
		case passed:
			r.waitFreed(ctx, x)
		default:
			r.progress.hurry(views) // the event may have come after what it has hurried for
			r.waitApplied(ctx, x, position)
		}
	}
	return x.row, isClosed(x.met), nil
}

// waitRecorded waits while there is no such event yet: until a view moves, and then for
// a share of the time that was waited. Why: a thousand that wait in vain would ask at
// every batch.
func (r *Runner) waitRecorded(ctx context.Context, x *expectation, moved <-chan struct{}, began time.Time) {
	late := time.NewTimer(lookInterval)
	defer late.Stop()
	select {
	case <-x.met:
	case <-moved:
		x.wait(ctx, min(now().Sub(began)/waitShare, lookInterval), nil)
	case <-late.C:
	case <-ctx.Done():
	}
}

// waitApplied waits until the view is believed to have passed the position. It ends
// after a time, because only a question tells whether the database is there.
func (r *Runner) waitApplied(ctx context.Context, x *expectation, position int64) {
	ctx, cancel := context.WithTimeout(ctx, lookInterval)
	defer cancel()
	r.waitPosition(ctx, []string{x.view}, position, x.met)
}

// waitFreed waits where the view is believed to have passed an event that it has not
// applied: that is parked, or behind one that is, or a notification lied.
func (r *Runner) waitFreed(ctx context.Context, x *expectation) {
	x.wait(ctx, lookInterval, nil)
	r.refresh(ctx, []string{x.view}, r.progress.correct)
}

// applied gives the version that is applied of what is expected, and the position of
// the one that is expected: 0 while there is none.
func (r *Runner) applied(ctx context.Context, x *expectation) (applied int, position int64, err error) {
	err = r.reader.NewRaw(`SELECT
	   coalesce((SELECT l.version FROM view_locks l WHERE l.view = ?0 AND l.aggregate_id = ?1), 0),
	   coalesce((SELECT e."position" FROM events e WHERE e.aggregate_id = ?1 AND e.version = ?2), 0)`,
		x.view, x.aggregateID, x.version).Scan(ctx, &applied, &position)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for version %d of %s in view %s: %w", x.version, x.aggregateID, x.view, err)
	}
	return applied, position, nil
}

// refresh notes the positions as they are committed. A failure leaves them as
// they were: whoever waits asks again.
func (r *Runner) refresh(ctx context.Context, views []string, note func(view string, position int64)) {
	var rows []struct {
		View     string `bun:"view"`
		Position int64  `bun:"position"`
	}
	err := r.reader.NewSelect().Table("view_positions").Column("view", "position").
		Where("view IN (?)", bun.List(views)).Scan(ctx, &rows)
	if err != nil {
		return
	}
	for _, row := range rows {
		note(row.View, row.Position)
	}
}
