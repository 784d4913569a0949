package eventstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// seal seals all there is, in ranges of a size.
func seal(t *testing.T, db bun.IDB, size int) {
	t.Helper()
	if _, err := db.NewRaw("SELECT seal_events(?, '0', 1000000)", size).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func seals(t *testing.T, db bun.IDB) []eventstore.Seal {
	t.Helper()
	all, err := eventstore.Seals(t.Context(), db, -1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// odd is an event whose every field is something that two hand-made encodings
// are likely to disagree about.
func odd() eventsourcing.Event {
	e := event(uuid.New(), "thing.made")
	e.Actor = "jwt:Zoë Ω"
	e.Payload = json.RawMessage("{ \"text\":\"C:\\\\u0000dir \\ud83d\\ude00 \u2028 é\",\n\t\"n\": 9007199254740993.10 }")
	e.Metadata = json.RawMessage(`{"z":1.50,"a":"é","long key":[1,2,{"b":null}]}`)
	return e
}

func TestDatabaseAndProgramHashAnEventAlike(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	if _, err := l.Append(t.Context(), append(events(uuid.New(), "thing.made", "thing.changed"), odd())); err != nil {
		t.Fatal(err)
	}
	read, err := l.Read(t.Context(), eventstore.Query{})
	if err != nil || len(read) != 3 {
		t.Fatal(len(read), err)
	}
	for _, e := range read {
		var digest []byte
		err := db.NewRaw(`SELECT event_digest(e) FROM events e WHERE e."position" = ?`, e.Position).Scan(t.Context(), &digest)
		if err != nil {
			t.Fatal(err)
		}
		if got := eventstore.Digest(e); !bytes.Equal(got[:], digest) {
			t.Errorf("position %d: the program says %s, the database %x", e.Position, got, digest)
		}
	}
}

func TestEveryFieldOfAnEventIsInItsDigest(t *testing.T) {
	t.Parallel()
	base := eventsourcing.Recorded{
		ID: uuid.New(), AggregateID: uuid.New(), Name: "thing.made", SchemaVersion: 1, Version: 1, Position: 1,
		Payload: json.RawMessage(`{}`), Metadata: json.RawMessage(`{}`), Actor: "test", RecordedAt: eventsourcing.At(time.Unix(1, 0)),
	}
	for field, change := range map[string]func(*eventsourcing.Recorded){
		"id":             func(e *eventsourcing.Recorded) { e.ID[15]++ },
		"aggregate_id":   func(e *eventsourcing.Recorded) { e.AggregateID[0]++ },
		"name":           func(e *eventsourcing.Recorded) { e.Name = "thing.mad" },
		"schema_version": func(e *eventsourcing.Recorded) { e.SchemaVersion++ },
		"version":        func(e *eventsourcing.Recorded) { e.Version++ },
		"position":       func(e *eventsourcing.Recorded) { e.Position++ },
		"payload":        func(e *eventsourcing.Recorded) { e.Payload = json.RawMessage(`{ }`) },
		"metadata":       func(e *eventsourcing.Recorded) { e.Metadata = json.RawMessage(`{"a": 1}`) },
		"actor":          func(e *eventsourcing.Recorded) { e.Actor = "tesu" },
		"recorded_at":    func(e *eventsourcing.Recorded) { e.RecordedAt.Time = e.RecordedAt.Add(time.Microsecond) },
		// The same bytes in a row, cut at another place.
		"where a field ends": func(e *eventsourcing.Recorded) { e.Name, e.Actor = "thing.mad", "etest" },
	} {
		changed := base
		change(&changed)
		if eventstore.Digest(changed) == eventstore.Digest(base) {
			t.Errorf("%s can be changed without a trace", field)
		}
	}
}

func TestSealsChainTheWholeLog(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	for range 25 {
		if _, err := l.Append(t.Context(), events(uuid.New(), "thing.made")); err != nil {
			t.Fatal(err)
		}
	}
	seal(t, db, 10)
	all := seals(t, db)
	if len(all) != 4 || all[0].Hash != eventstore.GenesisHash() {
		t.Fatalf("%d seals, the first %+v", len(all), all[0])
	}
	for i, s := range all[1:] {
		before := all[i]
		if s.Number != before.Number+1 || s.First != before.Last+1 || s.Previous != before.Hash {
			t.Errorf("%+v does not follow %+v", s, before)
		}
		sealing := eventstore.NewSealing(s)
		read, err := l.Read(t.Context(), eventstore.Query{After: s.First - 1, UpTo: s.Last})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range read {
			sealing.Add(eventstore.Digest(e))
		}
		if got := sealing.Hash(); got != s.Hash {
			t.Errorf("seal %d is %s, the events say %s", s.Number, s.Hash, got)
		}
	}
	if last := all[3]; last.First != 21 || last.Last != 25 {
		t.Errorf("the rest is sealed as %d to %d, want 21 to 25", last.First, last.Last)
	}
}

func TestTheRestIsSealedOnlyAfterAWhile(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	for range 13 {
		if _, err := l.Append(t.Context(), events(uuid.New(), "thing.made")); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		patience string
		sealed   int64
	}{{"1 hour", 10}, {"0", 13}} {
		var sealed int64
		if err := db.NewRaw("SELECT sealed_position FROM seal_events(5, ?)", c.patience).Scan(t.Context(), &sealed); err != nil {
			t.Fatal(err)
		}
		if sealed != c.sealed {
			t.Errorf("with a patience of %s positions up to %d are sealed, want %d", c.patience, sealed, c.sealed)
		}
	}
}

func TestSealersThatRaceMakeOneChain(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	for range 20 {
		batch := make([]eventsourcing.Event, 50)
		for i := range batch {
			batch[i] = event(uuid.New(), "thing.made")
		}
		if _, err := l.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	var sealers sync.WaitGroup
	for range 4 {
		sealers.Go(func() {
			for sealed := 0; sealed < 1000; {
				if err := db.NewRaw("SELECT sealed_position FROM seal_events(10, '0', 3)").Scan(t.Context(), &sealed); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	sealers.Wait()
	all := seals(t, db)
	if len(all) != 101 || all[100].Last != 1000 {
		t.Fatalf("%d seals up to %d, want 101 up to 1000", len(all), all[len(all)-1].Last)
	}
	for i, s := range all[1:] {
		if s.Previous != all[i].Hash || s.First != all[i].Last+1 {
			t.Errorf("seal %d does not follow the one before", s.Number)
		}
	}
}

func TestADamagedLogIsNotSealed(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]string{
		"a position is missing":      `DELETE FROM events WHERE "position" = 2`,
		"the head is behind a seal":  `UPDATE event_log_head SET "position" = 1`,
		"events after the last seal": `DELETE FROM events WHERE "position" > 3`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, db := open(t)
			if _, err := l.Append(t.Context(), events(uuid.New(), "thing.made")); err != nil {
				t.Fatal(err)
			}
			if name == "the head is behind a seal" {
				if _, err := l.Append(t.Context(), events(uuid.New(), "thing.made")); err != nil {
					t.Fatal(err)
				}
				seal(t, db, 10)
			}
			for range 3 {
				if _, err := l.Append(t.Context(), events(uuid.New(), "thing.made")); err != nil {
					t.Fatal(err)
				}
			}
			tamper(t, db, damage)
			_, err := db.NewRaw("SELECT seal_events(10, '0')").Exec(t.Context())
			const dataCorrupted = "XX001"
			if postgres.SQLState(err) != dataCorrupted {
				t.Errorf("the damage was sealed: %v", err)
			}
		})
	}
}

// tamper does what only a superuser can.
func tamper(t *testing.T, db *bun.DB, statement string) {
	t.Helper()
	err := db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		for _, s := range []string{
			"ALTER TABLE events DISABLE TRIGGER ALL", statement,
			"ALTER TABLE events ENABLE TRIGGER ALL", "ALTER TABLE events ENABLE ALWAYS TRIGGER events_refuse_change",
		} {
			if _, err := tx.NewRaw(s).Exec(ctx); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSealsCannotBeChanged(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	if _, err := l.Append(t.Context(), events(uuid.New(), "thing.made")); err != nil {
		t.Fatal(err)
	}
	seal(t, db, 1)
	for _, attack := range []string{
		"UPDATE event_seals SET number = 7", "DELETE FROM event_seals", "TRUNCATE event_seals",
		"SET LOCAL session_replication_role = replica; DELETE FROM event_seals",
	} {
		if _, err := db.NewRaw(attack).Exec(t.Context()); err == nil {
			t.Errorf("%s was not refused", attack)
		}
	}
}

func TestASealerSealsWhatComes(t *testing.T) {
	t.Parallel()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: pgtest.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l := openOn(t, db)
	s := eventstore.NewSealer(eventstore.SealerOptions{
		DB: db, Interval: time.Millisecond, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	batch := make([]eventsourcing.Event, 1000)
	for i := range batch {
		batch[i] = event(uuid.New(), "thing.made")
	}
	for range 3 {
		if _, err := l.Append(t.Context(), refresh(batch)); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		newest, ok, err := eventstore.NewestSeal(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		if ok && newest.Last == 3000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("sealed up to %d, want 3000", newest.Last)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// refresh gives the events new ids.
func refresh(batch []eventsourcing.Event) []eventsourcing.Event {
	for i := range batch {
		batch[i].ID, batch[i].AggregateID = uuid.New(), uuid.New()
	}
	return batch
}

func TestASealIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	want := eventstore.Seal{
		Number: 3, First: 11, Last: 20, Previous: eventstore.GenesisHash(), Hash: eventstore.Hash{1},
		SealedAt: eventsourcing.At(time.Unix(1, 0)),
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := eventstore.ReadSeal(text); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v from %s", got, err, text)
	}
	for _, text := range []string{"", "{}", `{"number":1,"first_position":2,"last_position":1}`, `{"hash":"ab"}`} {
		if got, err := eventstore.ReadSeal([]byte(text)); err == nil {
			t.Errorf("%s was read as %+v", text, got)
		}
	}
}
