package aggregator

import (
	"bytes"
	"sync"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// recent are the last events of the log, if this process recorded them: without gaps,
// in the order of positions.
type recent struct {
	mu     sync.Mutex
	events []eventsourcing.Recorded
	size   int                 // bytes of what clients wrote
	last   map[uuid.UUID]int64 // positions of the aggregates' last events
}

// What is remembered begins anew when it is as much as this. Why: a view that rests has
// most often read all but the last few hundred, and else reads the log.
const (
	maxRecent     = 2 * liveWindow
	maxRecentSize = 2 << 20
)

// note takes what was recorded. Where the log has something before it that this process
// did not record, all before is forgotten.
//
// Why copies: an event's payload is a part of its request's body, which may be much longer.
func (r *recent) note(events []eventsourcing.Recorded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		size := len(e.Payload) + len(e.Metadata)
		n := len(r.events)
		if n == 0 || n == maxRecent || r.size+size > maxRecentSize || e.Position != r.events[n-1].Position+1 {
			r.events, r.size, r.last = nil, 0, make(map[uuid.UUID]int64)
		}
		e.Payload, e.Metadata = bytes.Clone(e.Payload), bytes.Clone(e.Metadata)
		r.events = append(r.events, e)
		r.size += size
		r.last[e.AggregateID] = e.Position
	}
}

// after gives the events after the position, at most so many: none unless the next one
// is among them.
func (r *recent) after(position int64, most int) []eventsourcing.Recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == 0 {
		return nil
	}
	i := position + 1 - r.events[0].Position
	if i < 0 || i >= int64(len(r.events)) {
		return nil
	}
	next := r.events[i:]
	return next[:min(len(next), most)]
}

// position is that of the aggregate's version, if that is the last one and remembered,
// and else 0.
func (r *recent) position(aggregateID uuid.UUID, version int) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	position, ok := r.last[aggregateID]
	if !ok || r.events[position-r.events[0].Position].Version != version {
		return 0
	}
	return position
}
