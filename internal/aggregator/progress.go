package aggregator

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
	"onepg/internal/pause"
)

// progress is what this process believes of how far views have come, whichever
// replica took them there. It says when to look; what is true says the database.
type progress struct {
	mu        sync.Mutex
	positions map[string]int64
	moved     chan struct{} // closed and replaced when a position changes
	wanted    map[string]chan struct{}
}

func newProgress() *progress {
	return &progress{positions: make(map[string]int64), moved: make(chan struct{}), wanted: make(map[string]chan struct{})}
}

// want gives the channel that says, once, that somebody waits for the view.
func (p *progress) want(view string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted[view] == nil {
		p.wanted[view] = make(chan struct{}, 1)
	}
	return p.wanted[view]
}

// hurry says that somebody waits for the views.
func (p *progress) hurry(views []string) {
	for _, v := range views {
		select {
		case p.want(v) <- struct{}{}:
		default: // it was said already
		}
	}
}

func (p *progress) known(view string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.positions[view]
	return ok
}

// position is how far a view has come; 0 for one that nobody knows.
func (p *progress) position(view string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.positions[view]
}

// advance takes a view forward.
func (p *progress) advance(view string, position int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.positions[view]; !ok || old < position {
		p.put(view, position)
	}
}

// correct takes a view to where the database says it is, also back: a
// notification may have lied. Not for every look, because one that was slow
// would take the view back too.
func (p *progress) correct(view string, position int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.positions[view] != position {
		p.put(view, position)
	}
}

// disprove takes a view back from where it was believed to be when somebody began
// to look, and found less.
func (p *progress) disprove(view string, believed, found int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found < believed && p.positions[view] == believed {
		p.put(view, found)
	}
}

func (p *progress) put(view string, position int64) {
	p.positions[view] = position
	close(p.moved)
	p.moved = make(chan struct{})
}

// reached reports whether all views are at the position, and gives a channel
// that says when to look again.
func (p *progress) reached(views []string, position int64) (bool, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range views {
		if p.positions[v] < position {
			return false, p.moved
		}
	}
	return true, p.moved
}

// Heard takes a notification of the channel views:updated: "view,position" from
// whichever replica moved a view. It is a hint; a malformed one is ignored.
func (r *Runner) Heard(payload string) {
	view, digits, ok := strings.Cut(payload, ",")
	position, err := strconv.ParseInt(digits, 10, 64)
	if ok && err == nil && r.progress.known(view) {
		r.progress.advance(view, position)
	}
}

// lookInterval is how often a waiting request asks the database itself: only
// needed when another replica moves the view and its notification is lost, and
// when an event is parked.
const lookInterval = 250 * time.Millisecond

// waitShare makes who waits for a version rest between two looks: for an eighth of
// the time that it has waited already, and for lookInterval at most. An answer is
// late by no more than that, and a long wait seldom asks the database.
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

// WaitVersion returns true as soon as the view has applied the aggregate's
// version or a later one, on whichever replica, and false when ctx ends first.
// The event need not be recorded yet.
//
// shows is how the caller reads the row, and whether that shows the version. It is
// asked first, and again when the view should be there, because mostly there is
// nothing else to ask. Of a row that was deleted it cannot know.
func (r *Runner) WaitVersion(ctx context.Context, view string, aggregateID uuid.UUID, version int, shows func(context.Context) bool) bool {
	r.progress.hurry([]string{view}) // it can work while this one looks
	if shows(ctx) {
		return true
	}
	began := now()
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for early := false; ; early = true {
		_, moved := r.progress.reached(nil, 0)
		var applied int
		var position int64
		err := r.reader.NewRaw(`SELECT
		   coalesce((SELECT l.version FROM view_locks l WHERE l.view = ?0 AND l.aggregate_id = ?1), 0),
		   coalesce((SELECT e."position" FROM events e WHERE e.aggregate_id = ?1 AND e.version = ?2), 0)`,
			view, aggregateID, version).Scan(ctx, &applied, &position)
		switch {
		case err == nil && applied >= version:
			return true
		case err == nil && position > 0:
			if early { // the event came after what the view has hurried for
				r.progress.hurry([]string{view})
			}
			if r.WaitPosition(ctx, []string{view}, position) && shows(ctx) {
				return true
			}
			event := eventsourcing.Receipt{AggregateID: aggregateID, Version: version, Position: position}
			return r.Wait(ctx, []string{view}, []eventsourcing.Receipt{event})
		}
		select {
		case <-moved:
			// Why: a thousand that wait in vain would ask at every batch.
			pause.For(ctx, min(now().Sub(began)/waitShare, lookInterval))
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
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
