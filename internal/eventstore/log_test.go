package eventstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/fault"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

type payload struct{}

// things are events of every lifecycle, and one of another aggregate.
func things() []eventsourcing.EventType {
	return []eventsourcing.EventType{
		eventsourcing.Type[payload]("thing.made", eventsourcing.Creates),
		eventsourcing.Type[payload]("thing.changed", eventsourcing.Changes),
		eventsourcing.Type[payload]("thing.broken", eventsourcing.Ends),
		eventsourcing.Type[payload]("thing.mended", eventsourcing.Restores),
		eventsourcing.Type[payload]("other.made", eventsourcing.Creates),
		eventsourcing.Type[payload]("other.changed", eventsourcing.Changes),
	}
}

func open(tb testing.TB) (*eventstore.Log, *bun.DB) {
	tb.Helper()
	db, err := postgres.Open(tb.Context(), postgres.Options{URL: pgtest.New(tb), MaxConns: 8})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return openOn(tb, db), db
}

// openOn is the log in a given database, with things in its catalogue.
func openOn(tb testing.TB, db *bun.DB) *eventstore.Log {
	tb.Helper()
	l := eventstore.Open(eventstore.Options{
		Writer: db, Reader: db, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	tb.Cleanup(l.Close)
	if err := l.Register(tb.Context(), things()); err != nil {
		tb.Fatal(err)
	}
	return l
}

func event(aggregate uuid.UUID, name string) eventsourcing.Event {
	return eventsourcing.Event{
		ID: uuid.New(), AggregateID: aggregate, Name: name, Actor: "test", Payload: json.RawMessage(`{}`),
	}
}

func expecting(e eventsourcing.Event, version int) eventsourcing.Event {
	e.ExpectedVersion = &version
	return e
}

func events(aggregate uuid.UUID, names ...string) []eventsourcing.Event {
	var all []eventsourcing.Event
	for _, name := range names {
		all = append(all, event(aggregate, name))
	}
	return all
}

// code is the outcome of an append in one word.
func code(err error) string {
	if err == nil {
		return "appended"
	}
	if f, ok := fault.Of(err); ok {
		return f.Code
	}
	return err.Error()
}

// The rules of the log: given what an aggregate has been through, when this is
// asked for, then that is the outcome.
func TestEachRequestHasTheOutcomeOfTheRules(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	at := func(version int, name string) func(uuid.UUID) []eventsourcing.Event {
		return func(id uuid.UUID) []eventsourcing.Event {
			return []eventsourcing.Event{expecting(event(id, name), version)}
		}
	}
	all := func(names ...string) func(uuid.UUID) []eventsourcing.Event {
		return func(id uuid.UUID) []eventsourcing.Event { return events(id, names...) }
	}
	for _, c := range []struct {
		given   []string
		when    func(uuid.UUID) []eventsourcing.Event
		outcome string
		version int // of the last event, or the current version of a conflict
	}{
		{nil, all("thing.made"), "appended", 1},
		{nil, all("thing.made", "thing.changed", "thing.changed"), "appended", 3},
		{nil, all("thing.made", "thing.broken", "thing.mended"), "appended", 3},
		{nil, at(0, "thing.made"), "appended", 1},
		{nil, at(1, "thing.made"), "version-conflict", 0},
		{nil, all("thing.changed"), "aggregate-missing", 0},
		{nil, all("thing.broken"), "aggregate-missing", 0},
		{nil, all("thing.mended"), "aggregate-missing", 0},
		{nil, all("thing.made", "thing.made"), "aggregate-exists", 1},
		{nil, all("thing.made", "thing.broken", "thing.changed"), "aggregate-deleted", 2},
		{nil, all("thing.made", "other.changed"), "aggregate-missing", 1},
		{[]string{"thing.made"}, all("thing.changed"), "appended", 2},
		{[]string{"thing.made"}, at(1, "thing.changed"), "appended", 2},
		{[]string{"thing.made"}, at(0, "thing.changed"), "version-conflict", 1},
		{[]string{"thing.made"}, at(2, "thing.changed"), "version-conflict", 1},
		{[]string{"thing.made"}, at(0, "thing.made"), "version-conflict", 1},
		{[]string{"thing.made"}, all("thing.made"), "aggregate-exists", 1},
		{[]string{"thing.made"}, all("other.changed"), "aggregate-missing", 1},
		{[]string{"thing.made", "thing.broken"}, all("thing.changed"), "aggregate-deleted", 2},
		{[]string{"thing.made", "thing.broken"}, all("thing.made"), "aggregate-deleted", 2},
		{[]string{"thing.made", "thing.broken"}, all("thing.mended", "thing.changed"), "appended", 4},
	} {
		id := uuid.New()
		t.Run(fmt.Sprint(c.given, c.when(id)[0].Name, c.outcome), func(t *testing.T) {
			t.Parallel()
			if c.given != nil {
				if _, err := l.Append(t.Context(), events(id, c.given...)); err != nil {
					t.Fatal(err)
				}
			}
			receipts, err := l.Append(t.Context(), c.when(id))
			if code(err) != c.outcome {
				t.Fatalf("outcome %q, want %q", code(err), c.outcome)
			}
			version := 0
			if f, ok := fault.Of(err); ok {
				version = *f.CurrentVersion
			} else {
				version = receipts[len(receipts)-1].Version
			}
			if version != c.version {
				t.Errorf("version %d, want %d", version, c.version)
			}
		})
	}
}

func TestAKnownIDAnswersAsItFirstDid(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	id := uuid.New()
	first := event(id, "thing.made")
	first.Payload = json.RawMessage(`{"a": 1, "b": [2.50]}`)
	original, err := l.Append(t.Context(), []eventsourcing.Event{first})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), events(id, "thing.changed")); err != nil {
		t.Fatal(err)
	}

	again := first
	again.Payload = json.RawMessage(`{"b":[2.5],"a":1.0}`)
	again.ExpectedVersion = new(int)
	repeated, err := l.Append(t.Context(), []eventsourcing.Event{again})
	if err != nil {
		t.Fatal(err)
	}
	want := original[0]
	want.Duplicate = true
	if repeated[0] != want {
		t.Errorf("repeated %+v, want %+v", repeated[0], want)
	}

	for what, change := range map[string]func(*eventsourcing.Event){
		"aggregate": func(e *eventsourcing.Event) { e.AggregateID = uuid.New() },
		"name":      func(e *eventsourcing.Event) { e.Name = "other.made" },
		"payload":   func(e *eventsourcing.Event) { e.Payload = json.RawMessage(`{"a":2}`) },
	} {
		reused := first
		change(&reused)
		if _, err := l.Append(t.Context(), []eventsourcing.Event{reused}); code(err) != "event-id-reused" {
			t.Errorf("another %s under a known id: %q, want event-id-reused", what, code(err))
		}
	}
}

func TestARefusalDoesNotTouchItsNeighbours(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	poison := event(uuid.New(), "thing.made")
	poison.Metadata = json.RawMessage(`{"a":"\u0000"}`) // jsonb will not take it
	outcomes := make([]string, 300)
	var clients sync.WaitGroup
	for i := range outcomes {
		clients.Go(func() {
			request := events(uuid.New(), "thing.made", "thing.changed")
			switch i % 10 {
			case 3:
				request[1].Name = "thing.made"
			case 7:
				request = []eventsourcing.Event{poison}
			}
			_, err := l.Append(t.Context(), request)
			outcomes[i] = code(err)
			// Whatever else is in its batch, an event is counted within its request.
			if f, ok := fault.Of(err); ok && i%10 == 3 && (f.Event == nil || *f.Event != 1) {
				t.Errorf("request %d: event %v was refused, want 1", i, f.Event)
			}
		})
	}
	clients.Wait()
	for i, got := range outcomes {
		want := "appended"
		switch i % 10 {
		case 3:
			want = "aggregate-exists"
		case 7:
			want = "validation-failed"
		}
		if got != want {
			t.Errorf("request %d: %q, want %q", i, got, want)
		}
	}
	assertGapless(t, l, 240*2)
}

// P2: one id is stored once, whoever asks how often.
func TestRepeatedIDsAreStoredOnce(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	const clients, ids = 32, 1000
	all := make([]eventsourcing.Event, ids)
	for i := range all {
		all[i] = event(uuid.New(), "thing.made")
	}
	var fresh atomic.Int64
	positions := make([][]int64, clients)
	var wg sync.WaitGroup
	for c := range clients {
		positions[c] = make([]int64, ids)
		wg.Go(func() {
			for i := range all {
				receipts, err := l.Append(t.Context(), all[i:i+1])
				if err != nil {
					t.Error(err)
					return
				}
				if !receipts[0].Duplicate {
					fresh.Add(1)
				}
				positions[c][i] = receipts[0].Position
			}
		})
	}
	wg.Wait()
	if fresh.Load() != ids {
		t.Errorf("%d answers say appended, want %d", fresh.Load(), ids)
	}
	for c := range clients {
		if !slices.Equal(positions[c], positions[0]) {
			t.Errorf("client %d was told other positions than client 0", c)
		}
	}
	assertGapless(t, l, ids)
}

// P4: versions are 1..n and each has one winner.
func TestOneWriterWinsEachVersion(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	id := uuid.New()
	if _, err := l.Append(t.Context(), events(id, "thing.made")); err != nil {
		t.Fatal(err)
	}
	const writers, rounds = 64, 10
	var won [rounds]atomic.Int64
	for version := range rounds {
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				_, err := l.Append(t.Context(), []eventsourcing.Event{expecting(event(id, "thing.changed"), version+1)})
				switch code(err) {
				case "appended":
					won[version].Add(1)
				case "version-conflict":
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := won[version].Load(); n != 1 {
			t.Errorf("version %d has %d winners", version+2, n)
		}
	}
	assertGapless(t, l, rounds+1)
}

// P5: every reader sees a contiguous run, while writers write.
func TestReadersSeeNoGaps(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	ctx, stop := context.WithCancel(t.Context())
	var writers, readers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 100 {
				if _, err := l.Append(t.Context(), events(uuid.New(), "thing.made", "thing.changed")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			after := int64(0)
			for ctx.Err() == nil {
				read, err := l.Read(t.Context(), eventstore.Query{After: after, Limit: 50})
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range read {
					if e.Position != after+1 {
						t.Errorf("position %d follows %d", e.Position, after)
						return
					}
					after = e.Position
				}
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
	assertGapless(t, l, 8*100*2)
}

func TestHistoryCannotBeChanged(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	if _, err := l.Append(t.Context(), events(uuid.New(), "thing.made")); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"UPDATE events SET actor = 'somebody else'",
		"DELETE FROM events",
		"TRUNCATE events",
		"SET session_replication_role = replica; DELETE FROM events",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err == nil {
			t.Errorf("%s was not refused", statement)
		}
	}
	assertGapless(t, l, 1)
}

func TestAClosedLogRefusesCleanly(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	l.Close()
	if _, err := l.Append(t.Context(), events(uuid.New(), "thing.made")); code(err) != "unavailable" {
		t.Errorf("outcome %q, want unavailable", code(err))
	}
}

// assertGapless holds the log to its invariants: n events, positions 1..n,
// versions 1.. per aggregate, times that never fall.
func assertGapless(t *testing.T, l *eventstore.Log, n int) {
	t.Helper()
	read, err := l.Read(context.WithoutCancel(t.Context()), eventstore.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if len(read) != n {
		t.Errorf("%d events stored, want %d", len(read), n)
	}
	versions := make(map[uuid.UUID]int)
	for i, e := range read {
		if e.Position != int64(i+1) {
			t.Fatalf("position %d at index %d", e.Position, i)
		}
		if versions[e.AggregateID]++; e.Version != versions[e.AggregateID] {
			t.Errorf("aggregate %s: version %d, want %d", e.AggregateID, e.Version, versions[e.AggregateID])
		}
		if i > 0 && e.RecordedAt.Before(read[i-1].RecordedAt.Time) {
			t.Errorf("time falls at position %d", e.Position)
		}
	}
}

// TestAnAppendIsAnsweredInTimeWhateverItsBatchWaitsFor keeps a batch from ending
// and expects an answer to its own request and to one that waits behind it.
func TestAnAppendIsAnsweredInTimeWhateverItsBatchWaitsFor(t *testing.T) {
	t.Parallel()
	db, err := postgres.Open(t.Context(), postgres.Options{
		URL: pgtest.New(t), MaxConns: 4, LockTimeout: postgres.NoTimeout, StatementTimeout: postgres.NoTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l := openOn(t, db)
	l.AnswerWithin(200 * time.Millisecond)
	holder, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback() }()
	if _, err := holder.ExecContext(t.Context(), "SELECT FROM event_log_head FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	// Less than one call may take, so the answer cannot come from its end.
	const limit = 6 * time.Second
	began := time.Now()
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() {
			if _, err := l.Append(t.Context(), events(uuid.New(), "thing.made")); !fault.Is(err, "unavailable") {
				t.Errorf("got %v", err)
			}
		})
	}
	waiting.Wait()
	if took := time.Since(began); took > limit {
		t.Errorf("answered after %v", took)
	}
}
