package eventstore_test

import (
	"encoding/json"
	"log/slog"
	"reflect"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// oddMetadata is metadata as jsonb does not write it.
const oddMetadata = `{"trace_id":"t","aa" : "\u00e9\u0001\n\t\"\\\/\ud83d\ude00<>&\u2028\u007f", "b":"", "A":"x","":"é"  }`

// Whoever is told of the log knows it as whoever reads it, and before those who appended.
func TestWhatIsToldIsWhatIsRead(t *testing.T) {
	t.Parallel()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: pgtest.New(t), MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var mu sync.Mutex
	var told []eventsourcing.Recorded
	l := eventstore.Open(eventstore.Options{
		Writer: db, Reader: db, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Recorded: func(events []eventsourcing.Recorded) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, events...)
		},
	})
	t.Cleanup(l.Close)
	if err := l.Register(t.Context(), things()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			id := uuid.New()
			first := event(id, "thing.made")
			first.Payload, first.Metadata = json.RawMessage(`{ "z":1, "a": 1e2 }`), json.RawMessage(oddMetadata)
			more := append([]eventsourcing.Event{first}, events(id, "thing.changed", "thing.changed")...) // the first is there
			for _, part := range [][]eventsourcing.Event{{first}, more, {event(id, "thing.made")}, events(id, "thing.broken")} {
				receipts, err := l.Append(t.Context(), part)
				if err != nil {
					continue // it has been made already
				}
				mu.Lock()
				if told[len(told)-1].Position < receipts[len(receipts)-1].Position {
					t.Error("who appended it knew before")
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	read, err := l.Read(t.Context(), eventstore.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if len(read) != 80 || len(told) != len(read) {
		t.Fatalf("%d events were told of %d", len(told), len(read))
	}
	for i, e := range read {
		if !reflect.DeepEqual(told[i], e) {
			t.Errorf("told was %+v, and read is %+v", told[i], e)
		}
	}
}

// Nobody is told what may be read otherwise than it was written.
func TestMetadataThatIsMoreThanTextsIsNotTold(t *testing.T) {
	t.Parallel()
	var told []eventsourcing.Recorded
	l, db := open(t)
	l.Close()
	l = eventstore.Open(eventstore.Options{
		Writer: db, Reader: db, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Recorded: func(events []eventsourcing.Recorded) { told = append(told, events...) },
	})
	t.Cleanup(l.Close)
	for metadata, want := range map[string]int{
		`{}`: 1, `{ }`: 0, `{"a":"b"}`: 1, `{"a":1.50}`: 0, `{"a":null}`: 0, `{"a":true}`: 0, `{"a":["b"]}`: 0, `{"a":{"b":"c"}}`: 0,
	} {
		told = nil
		e := event(uuid.New(), "thing.made")
		e.Metadata = json.RawMessage(metadata)
		if _, err := l.Append(t.Context(), []eventsourcing.Event{e}); err != nil {
			t.Fatal(err)
		}
		if len(told) != want {
			t.Errorf("of %s %d were told, want %d", metadata, len(told), want)
		}
	}
}
