package aggregator

import (
	"context"
	"encoding/json"
	"testing"
	"time"

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
	var r recent
	positions := func(after int64, most int) (got []int64) {
		for _, e := range r.after(after, most) {
			got = append(got, e.Position)
		}
		return got
	}
	check := func(what string, got []int64, want ...int64) {
		t.Helper()
		if len(got) != len(want) || len(got) > 0 && (got[0] != want[0] || got[len(got)-1] != want[len(want)-1]) {
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

func TestThePositionOfAVersionIsRemembered(t *testing.T) {
	t.Parallel()
	var r recent
	id := uuid.New()
	if p := r.position(id, 1); p != 0 {
		t.Errorf("%d of nothing", p)
	}
	events := recordedAt(3, 4)
	events[0].AggregateID, events[1].AggregateID, events[1].Version = id, id, 2
	r.note(events)
	if one, two, three := r.position(id, 1), r.position(id, 2), r.position(id, 3); one != 0 || two != 4 || three != 0 {
		t.Errorf("versions are at %d, %d and %d", one, two, three)
	}
	r.note(recordedAt(9))
	if p := r.position(id, 2); p != 0 {
		t.Errorf("%d is behind a gap", p)
	}
}

// However much is recorded, and however long the requests were.
func TestWhatAProcessRecordedIsForgotten(t *testing.T) {
	t.Parallel()
	var r recent
	for p := range int64(3 * maxRecent) {
		r.note(recordedAt(p + 1))
	}
	if n := len(r.events); n > maxRecent || len(r.last) > maxRecent || len(r.after(3*maxRecent-1, 9)) != 1 {
		t.Errorf("%d events of %d aggregates", n, len(r.last))
	}
	body := make([]byte, 1<<20)
	for p := range int64(20) {
		e := recordedAt(3*maxRecent + p + 1)
		e[0].Payload = body[:maxRecentSize/10]
		r.note(e)
	}
	kept := 0
	for _, e := range r.events {
		kept += cap(e.Payload) + cap(e.Metadata)
	}
	if kept > maxRecentSize+maxRecentSize/10 || len(r.events) < 5 {
		t.Errorf("%d bytes in %d events", kept, len(r.events))
	}
}

// What others recorded after that may have come with the same wake-up as what this
// process did.
func TestAViewThatWasResumedLooksAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	caught{moved: true, resumed: true}.idle(ctx, nil, nil, 0)
	if ctx.Err() != nil {
		t.Error("it waits to be woken")
	}
}
