package aggregator

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// recordedAt makes events at the positions, each of an aggregate of its own.
func recordedAt(positions ...int64) (events []eventsourcing.Recorded) {
	for _, p := range positions {
		events = append(events, eventsourcing.Recorded{AggregateID: uuid.New(), Version: 1, Position: p, Payload: json.RawMessage(`{}`)})
	}
	return events
}

func TestWhatIsRememberedHasNoGaps(t *testing.T) {
	t.Parallel()
	r := newRecent()
	positions := func(after, most int64) (got []int64) {
		s, ok := r.after(after, most, "")
		for _, e := range s.events {
			got = append(got, e.Position)
		}
		if ok != (len(got) > 0) || len(s.ids) != len(got) {
			t.Errorf("%v, %t, of %d ids", got, ok, len(s.ids))
		}
		return got
	}
	check := func(what string, got []int64, want ...int64) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("nothing", positions(0, 9))
	r.note(recordedAt(5, 6))
	r.note(recordedAt(7))
	check("all", positions(4, 9), 5, 6, 7)
	check("the last", positions(6, 9), 7)
	check("at most two", positions(4, 2), 5, 6)
	check("more than the next is missing", positions(3, 9))
	check("nothing is next", positions(7, 9))
	check("of a longer log", positions(99, 9))
	r.note(recordedAt(9, 10))
	check("before a gap", positions(4, 9))
	check("in a gap", positions(7, 9))
	check("after a gap", positions(8, 9), 9, 10)
	r.note(recordedAt(10)) // of a log that was restored to an earlier state
	check("before a step back", positions(8, 9))
	check("after a step back", positions(9, 9), 10)
}

func TestAVersionIsRememberedAfterAPosition(t *testing.T) {
	t.Parallel()
	r := newRecent()
	id := uuid.New()
	if r.has(id, 1, 0) {
		t.Error("of nothing")
	}
	events := recordedAt(3, 4, 5)
	events[0].AggregateID, events[1].AggregateID, events[1].Version = id, id, 2
	r.note(events)
	if !r.has(id, 1, 2) || r.has(id, 1, 3) || !r.has(id, 2, 0) || r.has(id, 2, 4) || r.has(id, 3, 0) {
		t.Error("wrong version or position")
	}
	r.note(recordedAt(9))
	if r.has(id, 2, 0) {
		t.Error("it is behind a gap")
	}
}

// However much is recorded, and however long the requests were.
func TestWhatAProcessRecordedIsForgotten(t *testing.T) {
	t.Parallel()
	r := newRecent()
	for p := range int64(3 * maxRecent) {
		r.note(recordedAt(p + 1))
	}
	if n := r.last - r.first + 1; n != maxRecent || r.last != 3*maxRecent {
		t.Errorf("%d events up to %d", n, r.last)
	}
	body := make([]byte, 1<<20)
	for p := range int64(20) {
		e := recordedAt(3*maxRecent + p + 1)
		e[0].Payload = body[:maxRecentSize/10]
		r.note(e)
	}
	kept := 0
	for _, e := range r.ring {
		kept += cap(e.Payload) + cap(e.Metadata)
	}
	if n := r.last - r.first + 1; kept > maxRecentSize || n != 10 {
		t.Errorf("%d bytes in %d events", kept, n)
	}
	r.note(recordedAt(9))
	if r.size != 2 || r.first != 9 {
		t.Errorf("%d bytes from %d", r.size, r.first)
	}
}
