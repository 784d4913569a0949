package eventsourcing_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"onepg/internal/eventsourcing"
)

// greeted has had two schemas: version 1 had the name as "who".
type greeted struct {
	Name string `json:"name"`
}

func upcastTypes() []eventsourcing.EventType {
	rename := func(old json.RawMessage) (json.RawMessage, error) {
		if !json.Valid(old) {
			return nil, errors.New("not JSON")
		}
		return json.RawMessage(strings.ReplaceAll(string(old), `"who"`, `"name"`)), nil
	}
	return []eventsourcing.EventType{
		eventsourcing.Type[greeted]("person.greeted", eventsourcing.Creates, eventsourcing.Upcasts(rename)),
	}
}

func TestOldEventsComeOutNew(t *testing.T) {
	t.Parallel()
	registry, err := eventsourcing.NewRegistry(upcastTypes()...)
	if err != nil {
		t.Fatal(err)
	}
	for version, payload := range map[int]string{1: `{"who":"Ada"}`, 2: `{"name":"Ada"}`} {
		old := eventsourcing.Recorded{Name: "person.greeted", SchemaVersion: version, Payload: json.RawMessage(payload)}
		_, got, err := registry.Read(old)
		if err != nil || got != any(greeted{Name: "Ada"}) {
			t.Errorf("version %d: %+v, %v", version, got, err)
		}
		lifted, err := registry.Upcast(old)
		if err != nil || lifted.SchemaVersion != 2 || string(lifted.Payload) != `{"name":"Ada"}` {
			t.Errorf("version %d: lifted to %+v, %v", version, lifted, err)
		}
	}
}

func TestAnUpcasterThatPanicsIsAnErrorOfItsEvent(t *testing.T) {
	t.Parallel()
	panics := eventsourcing.Type[greeted]("person.greeted", eventsourcing.Creates,
		eventsourcing.Upcasts(func(json.RawMessage) (json.RawMessage, error) { panic("no such person") }))
	registry, err := eventsourcing.NewRegistry(panics)
	if err != nil {
		t.Fatal(err)
	}
	e := eventsourcing.Recorded{Name: "person.greeted", SchemaVersion: 1, Position: 7, Payload: json.RawMessage(`{}`)}
	if newest, err := registry.Upcast(e); err == nil || newest.SchemaVersion != 1 || !strings.Contains(err.Error(), "no such person") {
		t.Errorf("lifted to %+v, %v", newest, err)
	}
	if _, payload, err := registry.Read(e); err == nil || payload != nil {
		t.Errorf("read as %v, %v", payload, err)
	}
}

func TestWhatANewerProgramRecordedIsUnknown(t *testing.T) {
	t.Parallel()
	registry, err := eventsourcing.NewRegistry(upcastTypes()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []eventsourcing.Recorded{
		{Name: "person.greeted", SchemaVersion: 3},
		{Name: "person.greeted", SchemaVersion: 0},
		{Name: "person.promoted", SchemaVersion: 1},
	} {
		if _, _, err := registry.Read(e); !errors.Is(err, eventsourcing.ErrUnknown) {
			t.Errorf("%s version %d: %v, want ErrUnknown", e.Name, e.SchemaVersion, err)
		}
	}
	broken := eventsourcing.Recorded{Name: "person.greeted", SchemaVersion: 1, Payload: json.RawMessage("{")}
	if _, _, err := registry.Read(broken); err == nil || errors.Is(err, eventsourcing.ErrUnknown) {
		t.Errorf("a payload that does not decode: %v, want an error of its own", err)
	}
}

func TestMalformedAndRepeatedNamesAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "person", "person.", ".greeted", "Person.greeted", "person.Greeted", "a.b.c", "1a.b", "a-b.c"} {
		if _, err := eventsourcing.NewRegistry(eventsourcing.Type[greeted](name, eventsourcing.Creates)); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	if _, err := eventsourcing.NewRegistry(append(upcastTypes(), upcastTypes()...)...); err == nil {
		t.Error("one name was taken twice")
	}
}

func TestTimesAreWrittenToTheMicrosecond(t *testing.T) {
	t.Parallel()
	moment := time.Date(2026, 11, 21, 4, 4, 5, 120_000_999, time.FixedZone("", 3600))
	got, err := json.Marshal(eventsourcing.At(moment))
	if err != nil || string(got) != `"2026-11-21T03:04:05.120000Z"` {
		t.Errorf("%s, %v", got, err)
	}
}
