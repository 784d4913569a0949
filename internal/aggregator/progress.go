package aggregator

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// progress is what this process knows of how far views have come, whichever
// replica took them there. It only ever lags behind the truth.
type progress struct {
	mu        sync.Mutex
	positions map[string]int64
	moved     chan struct{} // closed and replaced when a position grows
}

func newProgress() *progress {
	return &progress{positions: make(map[string]int64), moved: make(chan struct{})}
}

func (p *progress) known(view string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.positions[view]
	return ok
}

func (p *progress) advance(view string, position int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.positions[view]; ok && old >= position {
		return
	}
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
	return true, nil
}

// next gives a channel that is closed when any view moves.
func (p *progress) next() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.moved
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
// needed when another replica moves the view and its notification is lost.
const lookInterval = 250 * time.Millisecond

// Wait returns true as soon as each view has read the log up to the position,
// on whichever replica, and false when ctx ends first.
func (r *Runner) Wait(ctx context.Context, views []string, position int64) bool {
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
			r.refresh(ctx, views)
		case <-ctx.Done():
			return false
		}
	}
}

// WaitVersion returns true as soon as the view has applied the aggregate's
// version or a later one, on whichever replica, and false when ctx ends first.
func (r *Runner) WaitVersion(ctx context.Context, view string, aggregateID uuid.UUID, version int) bool {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for {
		moved := r.progress.next()
		var applied []int
		err := r.db.NewSelect().Table("view_locks").Column("version").
			Where("view = ?", view).Where("aggregate_id = ?", aggregateID).Scan(ctx, &applied)
		if err == nil && len(applied) == 1 && applied[0] >= version {
			return true
		}
		select {
		case <-moved:
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
}

// refresh reads the positions as they are committed. A failure leaves them as
// they were: whoever waits asks again.
func (r *Runner) refresh(ctx context.Context, views []string) {
	var rows []struct {
		View     string `bun:"view"`
		Position int64  `bun:"position"`
	}
	err := r.db.NewSelect().Table("view_positions").Column("view", "position").
		Where("view IN (?)", bun.List(views)).Scan(ctx, &rows)
	if err != nil {
		return
	}
	for _, row := range rows {
		r.progress.advance(row.View, row.Position)
	}
}
