package aggregator

import (
	"time"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// standing says whether a view can be worked on, and why not.
type standing string

const (
	ready  standing = "ready"
	absent standing = "absent" // another replica works on it, or there is no such view
	halted standing = "halted" // too much was parked
	newer  standing = "newer"  // a newer program folds it by another rule
)

// result is what a batch did.
type result struct {
	standing standing
	resumed  bool                     // what was recorded elsewhere was not looked for
	revision int                      // of the rule that the rows were folded by so far
	from     int64                    // the position before
	position int64                    // and after
	head     int64                    // how far it may go: the log's last position when the batch began, or the last of what was remembered
	waiting  bool                     // some aggregates are parked
	claimed  []eventsourcing.Recorded // what was read with the claim
	applied  map[string]int           // how many events were applied, by name
	events   int                      // and in all
	moves    moves                    // of the locks
	came     int                      // requests that waited before the commit was sent; see expected
	took     map[string]time.Duration
	parked   []*EventError
	retried  int         // aggregates that were parked and tried again
	halted   string      // why the view stands still from here on
	unknown  *EventError // the batch ended before an event that this program does not know
}

func newResult() result {
	return result{standing: ready, applied: make(map[string]int), took: make(map[string]time.Duration)}
}

// moves are the locks to move, as parallel slices: each from the version before
// the first event that was applied to that of the last, with the row that shows it.
type moves struct {
	ids      []uuid.UUID
	from, to []int
	rows     []any
}

// changed tells whether there is anything to commit.
func (r result) changed() bool {
	return r.position != r.from || r.retried > 0
}
