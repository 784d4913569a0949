package eventstore_test

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/fault"
)

func TestAStoredEventWithoutAPathIsFoundAtStart(t *testing.T) {
	t.Parallel()
	lifted := func(p json.RawMessage) (json.RawMessage, error) { return p, nil }
	newer := eventsourcing.Type[payload]("thing.made", eventsourcing.Creates, eventsourcing.Upcasts(lifted, lifted))
	for _, c := range []struct {
		name    string
		stored  []int // schema versions of the events of the newer type
		knows   []eventsourcing.EventType
		refused bool
	}{
		{"nothing stored", nil, things()[:1], false},
		{"every version known", []int{1, 2, 3}, []eventsourcing.EventType{newer}, false},
		{"only old versions stored", []int{1, 1}, things()[:1], false},
		{"a newer version stored", []int{1, 3}, things()[:1], true},
		{"an unknown name stored", []int{1}, things()[4:5], true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, _ := open(t)
			if err := l.Register(t.Context(), []eventsourcing.EventType{newer}); err != nil {
				t.Fatal(err)
			}
			for _, version := range c.stored {
				e := event(uuid.New(), "thing.made")
				e.SchemaVersion = version
				if _, err := l.Append(t.Context(), []eventsourcing.Event{e}); err != nil {
					t.Fatal(err)
				}
			}
			registry, err := eventsourcing.NewRegistry(c.knows...)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Check(t.Context(), registry); fault.Is(err, "event-unknown") != c.refused || !c.refused && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Replicas of two releases share a database while one takes the other's place, and a
// release may be taken back. What a program has checked is of the schema it knows.
func TestAnEventIsOfTheSchemaThatItsProgramKnows(t *testing.T) {
	t.Parallel()
	older, db := open(t)
	newer := openOn(t, db)
	lift := func(old json.RawMessage) (json.RawMessage, error) { return old, nil }
	second := eventsourcing.Type[struct{}]("thing.made", eventsourcing.Creates, eventsourcing.Upcasts(lift))
	if err := newer.Register(t.Context(), []eventsourcing.EventType{second}); err != nil {
		t.Fatal(err)
	}
	for want, l := range map[int]*eventstore.Log{1: older, 2: newer} {
		e := event(uuid.New(), "thing.made")
		if _, err := l.Append(t.Context(), []eventsourcing.Event{e}); err != nil {
			t.Fatal(err)
		}
		if got, found, err := l.Event(t.Context(), e.ID); err != nil || !found || got.SchemaVersion != want {
			t.Errorf("schema version %d instead of %d: %t, %v", got.SchemaVersion, want, found, err)
		}
	}
}
