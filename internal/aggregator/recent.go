package aggregator

import (
	"sync"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// recent are the last events of the log, if this process recorded them: those of the
// positions from first to last, without gaps.
type recent struct {
	mu          sync.Mutex
	first, last int64
	ring        []eventsourcing.Recorded // that of position p is at p modulo its length
	size        int                      // bytes of what clients wrote
}

// How much is remembered. Why so little: a view rests for 20 ms at most, so it is seldom
// more than a few hundred events behind; where it is, it reads.
const (
	maxRecent     = 2 * liveWindow
	maxRecentSize = 2 << 20
)

func newRecent() *recent { return &recent{first: 1, ring: make([]eventsourcing.Recorded, maxRecent)} }

// note takes what was recorded, in the order of positions. Where the log has something
// between that this process did not record, all before is forgotten.
func (r *recent) note(events []eventsourcing.Recorded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		if e.Position != r.last+1 {
			for r.first <= r.last {
				r.forget()
			}
			r.first, r.last = e.Position, e.Position-1
		}
		own(&e)
		r.size += sizeOf(e)
		for r.first <= r.last && (r.size > maxRecentSize || r.last-r.first+1 == maxRecent) {
			r.forget()
		}
		r.last = e.Position
		*r.at(r.last) = e
	}
}

// own copies what the client wrote. Why: it is a part of the request's body, which may
// be much longer.
func own(e *eventsourcing.Recorded) {
	n := len(e.Payload)
	both := append(append(make([]byte, 0, sizeOf(*e)), e.Payload...), e.Metadata...)
	e.Payload, e.Metadata = both[:n:n], both[n:]
}

func sizeOf(e eventsourcing.Recorded) int { return len(e.Payload) + len(e.Metadata) }

func (r *recent) at(position int64) *eventsourcing.Recorded { return &r.ring[position%maxRecent] }

// forget gives up the first event.
func (r *recent) forget() {
	e := r.at(r.first)
	r.size -= sizeOf(*e)
	*e = eventsourcing.Recorded{}
	r.first++
}

// stretch is a part of the log without gaps: the events of one kind of aggregate, and the
// ids of all.
type stretch struct {
	events []eventsourcing.Recorded
	ids    []uuid.UUID
}

// after gives what is next after the position, at most so many positions. It reports
// false where that is not remembered.
func (r *recent) after(position int64, most int64, aggregate string) (s stretch, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if position+1 < r.first || position >= r.last {
		return s, false
	}
	end := min(r.last, position+most)
	for p := position + 1; p <= end; p++ {
		e := r.at(p)
		s.ids = append(s.ids, e.ID)
		if e.Aggregate == aggregate {
			s.events = append(s.events, *e)
		}
	}
	return s, true
}

// has tells whether the aggregate's version is remembered, after the position.
func (r *recent) has(aggregateID uuid.UUID, version int, after int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := r.last; p > after && p >= r.first; p-- {
		if e := r.at(p); e.AggregateID == aggregateID && e.Version == version {
			return true
		}
	}
	return false
}
