package tail

import (
	"context"
	"fmt"
	"sort"
	"time"

	"onepg/internal/pause"
)

// Follower is one client's place in a stream. It belongs to one goroutine,
// which closes it.
type Follower struct {
	broadcast *Broadcast
	filter    Filter
	drop      context.CancelCauseFunc

	// Guarded by broadcast.mu.
	position int64     // it was given everything up to here
	since    time.Time // when it went off with messages; zero while it waits for more
}

// Follow starts after the position. drop is called with ErrOverrun, from
// another goroutine, when the follower is too slow: its owner then stops what
// it is doing and closes it.
func (b *Broadcast) Follow(after int64, filter Filter, drop context.CancelCauseFunc) *Follower {
	f := &Follower{broadcast: b, filter: filter, drop: drop, position: after}
	b.metrics.clients.Inc()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.followers[f] = struct{}{}
	if len(b.followers) == 1 {
		select {
		case b.arrived <- struct{}{}:
		default:
		}
	}
	return f
}

// Close ends it. The last one to leave stops the reading.
func (f *Follower) Close() {
	b := f.broadcast
	b.metrics.clients.Dec()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.followers, f)
	if len(b.followers) > 0 {
		return
	}
	b.from, b.recent = b.position, nil
	if b.pause != nil {
		b.pause()
	}
}

// Position is how far it has come: everything up to here that the filter
// selects was given by Next.
func (f *Follower) Position() int64 {
	f.broadcast.mu.Lock()
	defer f.broadcast.mu.Unlock()
	return f.position
}

// Stalled notes that the client was dropped because it stopped reading.
func (f *Follower) Stalled() { f.broadcast.metrics.stalled.Inc() }

// Next gives the next messages as soon as there are any: those that wait, in
// order, or none after the patience. They are shared and must not be changed.
// The only error is the cause of ctx's end.
func (f *Follower) Next(ctx context.Context, patience time.Duration) ([]*Message, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for waiting.Err() == nil {
		messages, moved := f.take()
		if moved == nil {
			messages = f.catchUp(ctx, waiting)
		}
		if len(messages) > 0 {
			f.broadcast.metrics.messages.Add(float64(len(messages)))
			return messages, nil
		}
		if moved == nil {
			continue
		}
		select {
		case <-moved:
		case <-waiting.Done():
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("wait for messages: %w", context.Cause(ctx))
	}
	return nil, nil
}

// take gives what recent has for the follower, and a channel that says when
// there is more. The channel is nil when recent does not reach back to the
// follower's position.
func (f *Follower) take() ([]*Message, <-chan struct{}) {
	b := f.broadcast
	b.mu.Lock()
	defer b.mu.Unlock()
	f.since = time.Time{}
	if f.position < b.from {
		return nil, nil
	}
	first := sort.Search(len(b.recent), func(i int) bool { return b.recent[i].Position > f.position })
	messages := f.filter.selectFrom(b.recent[first:])
	f.position = max(f.position, b.position)
	if len(messages) > 0 {
		f.since = b.clock()
	}
	return messages, b.moved
}

// catchUp reads one page from the database, when it is the follower's turn. It
// gives nothing when waiting ends first, or when the page has nothing for the
// filter, or cannot be read.
func (f *Follower) catchUp(ctx, waiting context.Context) []*Message {
	b := f.broadcast
	select {
	case b.turns <- struct{}{}:
		defer func() { <-b.turns }()
	case <-waiting.Done():
		return nil
	}
	b.mu.Lock()
	stretch := Stretch{After: f.position, UpTo: b.position, Filter: f.filter, Limit: b.buffer}
	b.mu.Unlock()
	page, err := b.source.Read(ctx, stretch)
	if err != nil {
		// Why not logged: there may be a thousand, and the reader says it.
		pause.For(waiting, retryInterval)
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f.position = page.UpTo
	if len(page.Messages) > 0 {
		f.since = b.clock()
	}
	return page.Messages
}
