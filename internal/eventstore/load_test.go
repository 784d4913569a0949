package eventstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventsourcing/estest"
	"onepg/internal/eventstore"
	"onepg/internal/fault"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

func TestTheLogIsWhatCommandsRelyOn(t *testing.T) {
	t.Parallel()
	estest.LogTests(t, func(t *testing.T) eventsourcing.Log {
		t.Helper()
		l, _ := open(t)
		if err := l.Register(t.Context(), estest.Types()); err != nil {
			t.Fatal(err)
		}
		return l
	})
}

// long gives an aggregate of n events.
func long(tb testing.TB, l *eventstore.Log, n int) uuid.UUID {
	tb.Helper()
	id := uuid.New()
	list := make([]eventsourcing.Event, n)
	for i := range list {
		list[i] = event(id, "thing.changed")
		list[i].Payload = json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))
	}
	list[0].Name = "thing.made"
	for part := range slices.Chunk(list, 1000) {
		if _, err := l.Append(tb.Context(), part); err != nil {
			tb.Fatal(err)
		}
	}
	return id
}

// snapshot keeps the state after the version and waits until it is kept.
func snapshot(tb testing.TB, l *eventstore.Log, id uuid.UUID, version int) {
	tb.Helper()
	l.SaveSnapshot(eventsourcing.Snapshot{AggregateID: id, Version: version, Schema: "1", State: json.RawMessage(`{}`)})
	deadline := time.After(10 * time.Second)
	for {
		past, err := l.Load(tb.Context(), id, "1")
		if err != nil {
			tb.Fatal(err)
		}
		if past.Snapshot != nil && past.Snapshot.Version == version {
			return
		}
		select {
		case <-deadline:
			tb.Fatal("the snapshot was not kept")
		case <-time.After(time.Millisecond):
		}
	}
}

// The promise: 10,000 events with a snapshot load in at most twice the time of
// 100 without one. It is held by what a load reads, which does not depend on
// the machine; BenchmarkLoad shows the times.
func TestALoadReadsOnlyWhatIsAfterTheSnapshot(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	id := long(t, l, 10_000)
	snapshot(t, l, id, 9_901)
	past, err := l.Load(t.Context(), id, "1")
	if err != nil || len(past.Events) != 99 {
		t.Fatalf("%d events, %v", len(past.Events), err)
	}
	if took := buffers(t, db, id); took > 60 {
		t.Errorf("the load touched %d pages", took)
	}
}

// buffers counts the pages of 8 KiB that the query of Load touches.
func buffers(t *testing.T, db *bun.DB, id uuid.UUID) int {
	t.Helper()
	var plan []string
	if err := db.NewRaw("EXPLAIN (ANALYZE, BUFFERS) "+eventstore.LoadSQL, id, "1").Scan(t.Context(), &plan); err != nil {
		t.Fatal(err)
	}
	// The first line about buffers is that of the whole plan.
	found := regexp.MustCompile(`Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?`).FindStringSubmatch(strings.Join(plan, "\n"))
	if found == nil {
		t.Fatalf("no buffers in %q", plan)
	}
	pages := 0
	for _, digits := range found[1:] {
		n, _ := strconv.Atoi(digits) // empty for none
		pages += n
	}
	return pages
}

func TestALoadDoesNotWaitForEverForAConnection(t *testing.T) {
	t.Parallel()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: pgtest.New(t), MaxConns: 1, PoolWait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l := openOn(t, db)
	id := long(t, l, 1)
	busy, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := l.Load(ctx, id, "1"); !fault.Is(err, "unavailable") || ctx.Err() != nil {
		t.Errorf("without a connection: %v, %v", err, ctx.Err())
	}
	if err := busy.Close(); err != nil {
		t.Fatal(err)
	}
	if past, err := l.Load(t.Context(), id, "1"); err != nil || len(past.Events) != 1 {
		t.Errorf("with one: %+v, %v", past, err)
	}
}

func TestSnapshotsCanBeDeletedAtAnyTime(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	id := long(t, l, 3)
	snapshot(t, l, id, 2)
	if _, err := db.NewRaw("TRUNCATE snapshots").Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	past, err := l.Load(t.Context(), id, "1")
	if err != nil || past.Snapshot != nil || len(past.Events) != 3 {
		t.Errorf("got %+v, %v", past, err)
	}
}

func TestSavingASnapshotWaitsForNobody(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	id := long(t, l, 1)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "LOCK TABLE snapshots"); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			l.SaveSnapshot(eventsourcing.Snapshot{AggregateID: id, Version: 1, Schema: "1", State: json.RawMessage(`{}`)})
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("SaveSnapshot waits for the table's lock")
	}
}

func TestASnapshotTheDatabaseRefusesIsForgotten(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	id := long(t, l, 2)
	l.SaveSnapshot(eventsourcing.Snapshot{AggregateID: id, Version: 1, Schema: "1", State: json.RawMessage(`not json`)})
	snapshot(t, l, id, 2) // the next one is kept all the same
}

func BenchmarkLoad(b *testing.B) {
	l, _ := open(b)
	for _, c := range []struct {
		name            string
		events, version int
	}{{"100 events", 100, 0}, {"10000 events with a snapshot", 10_000, 9_901}, {"10000 events", 10_000, 0}} {
		id := long(b, l, c.events)
		if c.version > 0 {
			snapshot(b, l, id, c.version)
		}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := l.Load(b.Context(), id, "1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
