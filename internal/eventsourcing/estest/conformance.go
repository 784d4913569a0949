package estest

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// Fact is the payload of the events that [LogTests] appends.
type Fact struct {
	Text string `json:"text"`
}

// Types are the events that [LogTests] appends. The log has to know them.
func Types() []eventsourcing.EventType {
	return []eventsourcing.EventType{
		eventsourcing.Type[Fact]("thing.made", eventsourcing.Creates),
		eventsourcing.Type[Fact]("thing.changed", eventsourcing.Changes),
		eventsourcing.Type[Fact]("thing.ended", eventsourcing.Ends),
		eventsourcing.Type[Fact]("other.made", eventsourcing.Creates),
		eventsourcing.Type[Fact]("other.changed", eventsourcing.Changes),
	}
}

// LogTests holds a log to what a [eventsourcing.Handler] relies on. open gives an
// empty log that knows [Types].
func LogTests(t *testing.T, open func(*testing.T) eventsourcing.Log) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, eventsourcing.Log){
		"what is appended is loaded, in order":              testLoad,
		"an aggregate that does not exist has no past":      testNothing,
		"history is a range of versions":                    testHistory,
		"a version that is not the expected one is refused": testExpectation,
		"a refusal records nothing of its request":          testAllOrNothing,
		"an id is recorded once":                            testIDs,
		"an aggregate lives and ends":                       testLifecycle,
		"a snapshot stands for the events up to it":         testSnapshot,
		"a snapshot of another schema is not used":          testStaleSnapshot,
		"an older snapshot does not replace a newer one":    testOlderSnapshot,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func event(id uuid.UUID, name, text string, expected int) eventsourcing.Event {
	payload, _ := json.Marshal(Fact{Text: text}) //nolint:errchkjson // a struct of a string
	e := eventsourcing.Event{ID: uuid.New(), AggregateID: id, Name: name, Payload: payload, Actor: "tester"}
	if expected >= 0 {
		e.ExpectedVersion = &expected
	}
	return e
}

// made gives an aggregate of n events.
func made(t *testing.T, log eventsourcing.Log, n int) (uuid.UUID, []eventsourcing.Recorded) {
	t.Helper()
	id := uuid.New()
	events := []eventsourcing.Event{event(id, "thing.made", "1", 0)}
	for len(events) < n {
		events = append(events, event(id, "thing.changed", "again", len(events)))
	}
	receipts, err := log.Append(t.Context(), events)
	if err != nil {
		t.Fatal(err)
	}
	recorded := make([]eventsourcing.Recorded, n)
	for i, e := range events {
		e.SchemaVersion = 1
		recorded[i] = e.Recorded(receipts[i])
	}
	return id, recorded
}

func load(t *testing.T, log eventsourcing.Log, id uuid.UUID, schema string) eventsourcing.Past {
	t.Helper()
	past, err := log.Load(t.Context(), id, schema)
	if err != nil {
		t.Fatal(err)
	}
	return past
}

func same(t *testing.T, got, want []eventsourcing.Recorded) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("event %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func testLoad(t *testing.T, log eventsourcing.Log) {
	t.Helper()
	made(t, log, 2) // somebody else's
	id, want := made(t, log, 3)
	past := load(t, log, id, "1")
	if past.Snapshot != nil {
		t.Error("a snapshot that nobody saved")
	}
	same(t, past.Events, want)
	for i, e := range past.Events {
		if e.Version != i+1 || e.Position != want[0].Position+int64(i) {
			t.Errorf("event %d has version %d and position %d", i, e.Version, e.Position)
		}
	}
}

func testNothing(t *testing.T, log eventsourcing.Log) {
	t.Helper()
	if past := load(t, log, uuid.New(), "1"); past.Snapshot != nil || len(past.Events) > 0 {
		t.Errorf("got %+v", past)
	}
}

func testHistory(t *testing.T, log eventsourcing.Log) {
	t.Helper()
	id, all := made(t, log, 5)
	for _, c := range []struct{ after, upTo, from, to int }{{0, 5, 0, 5}, {1, 3, 1, 3}, {4, 9, 4, 5}, {5, 9, 5, 5}} {
		got, err := log.History(t.Context(), id, c.after, c.upTo)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, all[c.from:c.to])
	}
}

func testExpectation(t *testing.T, log eventsourcing.Log) {
	t.Helper()
	id, _ := made(t, log, 2)
	for _, expected := range []int{0, 1, 3} {
		_, err := log.Append(t.Context(), []eventsourcing.Event{event(id, "thing.changed", "late", expected)})
		refused(t, err, "version-conflict")
		if f, _ := fault.Of(err); f.CurrentVersion == nil || *f.CurrentVersion != 2 {
			t.Errorf("expecting %d: current version %v", expected, f.CurrentVersion)
		}
	}
	_, err := log.Append(t.Context(), []eventsourcing.Event{event(id, "thing.made", "twice", 0)})
	refused(t, err, "version-conflict")
}

func testAllOrNothing(t *testing.T, log eventsourcing.Log) {
	t.Helper()
	id, want := made(t, log, 1)
	_, err := log.Append(t.Context(), []eventsourcing.Event{
		event(id, "thing.changed", "fits", 1), event(id, "thing.changed", "does not", 5),
	})
	refused(t, err, "version-conflict")
	if f, _ := fault.Of(err); f.Event == nil || *f.Event != 1 {
		t.Errorf("event %v was refused, want 1", f.Event)
	}
	same(t, load(t, log, id, "1").Events, want)
}

func testIDs(t *testing.T, log eventsourcing.Log) {
	t.Helper()
	id := uuid.New()
	e := event(id, "thing.made", "once", 0)
	first, err := log.Append(t.Context(), []eventsourcing.Event{e})
	if err != nil {
		t.Fatal(err)
	}
	again, err := log.Append(t.Context(), []eventsourcing.Event{e})
	if err != nil || !again[0].Duplicate || again[0].Position != first[0].Position {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	e.Payload = json.RawMessage(`{"text":"other"}`)
	_, err = log.Append(t.Context(), []eventsourcing.Event{e})
	refused(t, err, "event-id-reused")
}

func testLifecycle(t *testing.T, log eventsourcing.Log) {
	t.Helper()
	id, _ := made(t, log, 1)
	for _, c := range []struct {
		name, code string
		id         uuid.UUID
	}{
		{"thing.made", "aggregate-exists", id},
		{"thing.changed", "aggregate-missing", uuid.New()},
		{"other.changed", "aggregate-missing", id},
		{"other.made", "aggregate-exists", id},
		{"thing.ended", "", id},
		{"thing.changed", "aggregate-deleted", id},
	} {
		_, err := log.Append(t.Context(), []eventsourcing.Event{event(c.id, c.name, "", -1)})
		if c.code == "" && err == nil {
			continue
		}
		refused(t, err, c.code)
	}
}

// saved waits until the log answers with a snapshot of the version: saving is
// not waited for.
func saved(t *testing.T, log eventsourcing.Log, id uuid.UUID, schema string, version int) eventsourcing.Past {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		past := load(t, log, id, schema)
		if past.Snapshot != nil && past.Snapshot.Version == version {
			return past
		}
		select {
		case <-deadline:
			t.Fatalf("no snapshot of version %d: %+v", version, past.Snapshot)
		case <-time.After(time.Millisecond):
		}
	}
}

func testSnapshot(t *testing.T, log eventsourcing.Log) {
	t.Helper()
	id, all := made(t, log, 5)
	want := eventsourcing.Snapshot{AggregateID: id, Version: 3, Schema: "1", State: json.RawMessage(`{"n":3}`)}
	log.SaveSnapshot(want)
	past := saved(t, log, id, "1", 3)
	if got := *past.Snapshot; got.AggregateID != id || got.Schema != "1" || !equalJSON(got.State, want.State) {
		t.Errorf("got %+v", got)
	}
	same(t, past.Events, all[3:])
	want.Version = 5
	log.SaveSnapshot(want)
	same(t, saved(t, log, id, "1", 5).Events, nil)
}

func testStaleSnapshot(t *testing.T, log eventsourcing.Log) {
	t.Helper()
	id, all := made(t, log, 3)
	log.SaveSnapshot(eventsourcing.Snapshot{AggregateID: id, Version: 3, Schema: "old", State: json.RawMessage(`{}`)})
	saved(t, log, id, "old", 3)
	past := load(t, log, id, "new")
	if past.Snapshot != nil {
		t.Errorf("got %+v", past.Snapshot)
	}
	same(t, past.Events, all)
	// The next program's replaces it, also at the same version.
	log.SaveSnapshot(eventsourcing.Snapshot{AggregateID: id, Version: 2, Schema: "new", State: json.RawMessage(`{}`)})
	same(t, saved(t, log, id, "new", 2).Events, all[2:])
}

func testOlderSnapshot(t *testing.T, log eventsourcing.Log) {
	t.Helper()
	id, _ := made(t, log, 4)
	other, _ := made(t, log, 1)
	for _, version := range []int{3, 1} {
		log.SaveSnapshot(eventsourcing.Snapshot{AggregateID: id, Version: version, Schema: "1", State: json.RawMessage(`{}`)})
	}
	// Snapshots are saved in order, so with this one the two above are too.
	log.SaveSnapshot(eventsourcing.Snapshot{AggregateID: other, Version: 1, Schema: "1", State: json.RawMessage(`{}`)})
	saved(t, log, other, "1", 1)
	if past := load(t, log, id, "1"); past.Snapshot == nil || past.Snapshot.Version != 3 {
		t.Errorf("got %+v", past.Snapshot)
	}
}

func equalJSON(x, y json.RawMessage) bool {
	var a, b any
	return json.Unmarshal(x, &a) == nil && json.Unmarshal(y, &b) == nil && reflect.DeepEqual(a, b)
}
