package aggregator

import (
	"sync"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// recorded remembers the events that this process recorded last.
//
// Why: whoever asks a view for such a version before the view has come there need not
// look for it, beside the batch that brings it. At 2,000 events/s that was 0.2 ms of 1.9.
type recorded struct {
	mu     sync.Mutex
	newest map[uuid.UUID]eventsourcing.Receipt // by aggregates
}

// maxRecorded bounds the memory. Why so few: a view has mostly passed what came before
// so many, and what is forgotten is looked for.
const maxRecorded = 4096

func (r *recorded) note(events []eventsourcing.Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.newest) >= maxRecorded {
		clear(r.newest)
	}
	for _, e := range events {
		r.newest[e.AggregateID] = e
	}
}

// position is where in the log the version is, and 0 if that is not known here.
func (r *recorded) position(aggregateID uuid.UUID, version int) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.newest[aggregateID]; e.Version == version {
		return e.Position
	}
	return 0
}
