package eventstore_test

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
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
