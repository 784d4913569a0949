package eventstore_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/postgres/pgtest"
)

// fill writes events as an import would, with times of its own. Times are in
// seconds after the beginning.
func fill(t *testing.T, db *bun.DB, seconds ...int) {
	t.Helper()
	for i, s := range seconds {
		_, err := db.ExecContext(t.Context(), `INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
			VALUES (?, ?, ?, ?, 1, 1, 'thing.made', 'test', '{}', '{}')`, i+1, beginning.Add(time.Duration(s)*time.Second), uuid.New(), uuid.New())
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(seconds) == 0 {
		return
	}
	last := beginning.Add(time.Duration(seconds[len(seconds)-1]) * time.Second)
	if _, err := db.ExecContext(t.Context(), `UPDATE event_log_head SET "position" = ?, recorded_at = ?`, len(seconds), last); err != nil {
		t.Fatal(err)
	}
}

var beginning = time.Date(2026, 1, 1, 0, 0, 0, 123456000, time.UTC)

// The place of a moment, in logs of every length that halves differently, with
// many events in one moment.
func TestAMomentHasItsPositionInTheLog(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	seconds := []int{0, 0, 0, 2, 4, 4, 6, 8, 8, 8, 8, 10}
	for n := range len(seconds) + 1 {
		if _, err := db.ExecContext(t.Context(), `ALTER TABLE events DISABLE TRIGGER ALL; DELETE FROM events; ALTER TABLE events ENABLE TRIGGER ALL; UPDATE event_log_head SET "position" = 0`); err != nil {
			t.Fatal(err)
		}
		fill(t, db, seconds[:n]...)
		for second := -1; second <= 11; second++ {
			for _, off := range []time.Duration{-time.Microsecond, 0, 999, time.Microsecond} {
				at := beginning.Add(time.Duration(second)*time.Second + off)
				want := 0
				for i, s := range seconds[:n] {
					if !beginning.Add(time.Duration(s) * time.Second).After(at) {
						want = i + 1
					}
				}
				position, reached, err := l.PositionAt(t.Context(), at.In(time.FixedZone("", 3600)))
				if err != nil || !reached || position != int64(want) {
					t.Fatalf("%d events, at %s: position %d, reached %t, %v, want %d", n, at, position, reached, err, want)
				}
			}
		}
	}
}

func TestAMomentThatHasNotComeHasNoPosition(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	for what, c := range map[string]struct {
		at      time.Time
		reached bool
	}{
		"an hour from now": {time.Now().Add(time.Hour), false},
		"a minute ago":     {time.Now().Add(-time.Minute), true},
		"the year 0":       {time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), true},
		"the year 1":       {time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), true},
		"the year 10000":   {time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		if position, reached, err := l.PositionAt(t.Context(), c.at); err != nil || reached != c.reached || position != 0 {
			t.Errorf("%s: %d, %t, %v", what, position, reached, err)
		}
	}
	ahead := time.Now().Add(time.Hour) // the clock was set back since
	if _, err := db.ExecContext(t.Context(), "UPDATE event_log_head SET recorded_at = ?", ahead); err != nil {
		t.Fatal(err)
	}
	if _, reached, err := l.PositionAt(t.Context(), ahead); err != nil || !reached {
		t.Errorf("the moment of the last event: %t, %v", reached, err)
	}
	if _, reached, err := l.PositionAt(t.Context(), ahead.Add(time.Second)); err != nil || reached {
		t.Errorf("after the last event: %t, %v", reached, err)
	}
}

// walk collects what existed, page by page.
func walk(t *testing.T, l *eventstore.Log, q eventstore.Existing) (all []uuid.UUID, pages int) {
	t.Helper()
	for {
		ids, next, err := l.Existing(t.Context(), q)
		if err != nil || len(ids) > q.Limit {
			t.Fatalf("%d ids, %v", len(ids), err)
		}
		all, pages = append(all, ids...), pages+1
		if next == uuid.Nil {
			return all, pages
		}
		q.After = next
	}
}

func TestWhatExistedIsListedInOrder(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	var things []uuid.UUID // by the position of their creation
	var positions []int64
	for i := range 30 {
		id := uuid.New()
		names := []string{"thing.made", "thing.changed", "thing.broken"}[:1+i%3]
		if i%5 == 0 {
			names = []string{"other.made", "other.changed"}
		}
		receipts, err := l.Append(t.Context(), events(id, names...))
		if err != nil {
			t.Fatal(err)
		}
		if i%5 != 0 {
			things, positions = append(things, id), append(positions, receipts[0].Position)
		}
	}
	for n := range len(things) + 1 {
		position := int64(0)
		if n > 0 {
			position = positions[n-1]
		}
		want := slices.Clone(things[:n])
		slices.SortFunc(want, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
		for _, limit := range []int{1, 3, len(things), 500} {
			got, _ := walk(t, l, eventstore.Existing{Aggregate: "thing", Position: position, Limit: limit})
			if diff := cmp.Diff(want, got); n > 0 && diff != "" || len(got) != n {
				t.Fatalf("at position %d by %d: %s", position, limit, diff)
			}
		}
	}
}

// One question is bounded in work, whatever came after the moment it is about.
func TestALongLogIsLookedAtInParts(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const many = 45_000
	_, err := db.ExecContext(t.Context(), `INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
		SELECT n, now(), gen_random_uuid(), lpad(to_hex(?::int - n), 32, '0')::uuid, 1, 1, 'thing.made', 'test', '{}', '{}' FROM generate_series(1, ?) n`, many+1, many)
	if err != nil {
		t.Fatal(err)
	}
	// The first to be created has the greatest id.
	got, pages := walk(t, l, eventstore.Existing{Aggregate: "thing", Position: 1, Limit: 10})
	if len(got) != 1 || pages != 3 {
		t.Errorf("%d in %d parts", len(got), pages)
	}
	if got, pages := walk(t, l, eventstore.Existing{Aggregate: "thing", Position: many, Limit: many}); len(got) != many || pages != 3 {
		t.Errorf("%d in %d parts", len(got), pages)
	}
}

func TestEachGivesWhatReadGives(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	a, b := uuid.New(), uuid.New()
	for _, all := range [][]eventsourcing.Event{events(a, "thing.made"), events(b, "thing.made", "thing.changed"), events(a, "thing.changed", "thing.broken")} {
		if _, err := l.Append(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	inOrder := []uuid.UUID{a, b}
	slices.SortFunc(inOrder, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	for what, c := range map[string]struct {
		q    eventstore.Query
		want []int64
	}{
		"everything":   {eventstore.Query{}, []int64{1, 2, 3, 4, 5}},
		"one":          {eventstore.Query{AggregateIDs: []uuid.UUID{a}}, []int64{1, 4, 5}},
		"to a version": {eventstore.Query{AggregateIDs: []uuid.UUID{a}, UpToVersion: 2}, []int64{1, 4}},
		"from one":     {eventstore.Query{AggregateIDs: []uuid.UUID{a}, FromVersion: 2}, []int64{4, 5}},
		"from one on":  {eventstore.Query{AggregateIDs: []uuid.UUID{a}, FromVersion: 2, UpToVersion: 2}, []int64{4}},
		"to a position": {eventstore.Query{AggregateIDs: []uuid.UUID{a, b}, UpTo: 4}, map[bool][]int64{
			true: {1, 4, 2, 3}, false: {2, 3, 1, 4},
		}[inOrder[0] == a]},
		"of another kind": {eventstore.Query{AggregateIDs: []uuid.UUID{a}, Aggregate: "other"}, nil},
	} {
		var got []int64
		err := l.Each(t.Context(), c.q, func(e eventsourcing.Recorded) error {
			got = append(got, e.Position)
			return nil
		})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v (%v)", what, got, c.want, err)
		}
		read, err := l.Read(t.Context(), c.q)
		if err != nil || len(read) != len(c.want) {
			t.Errorf("%s: %d events read (%v)", what, len(read), err)
		}
	}
	for id, want := range map[uuid.UUID]int{a: 3, b: 2, uuid.New(): 0} {
		if got, err := l.Version(t.Context(), "thing", id); err != nil || got != want {
			t.Errorf("version %d (%v), want %d", got, err, want)
		}
	}
	if got, err := l.Version(t.Context(), "other", a); err != nil || got != 0 {
		t.Errorf("as another kind: version %d (%v)", got, err)
	}
}

// A stretch of an aggregate's versions is found by the index, not by going
// through those before it.
func TestAStretchOfVersionsIsFoundByTheIndex(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	many(t, db, 20_000)
	sent := new(pgtest.Sent)
	q := eventstore.Query{Aggregate: "thing", AggregateIDs: []uuid.UUID{uuid.New()}, FromVersion: 5, UpToVersion: 8}
	if err := openOn(t, db.WithQueryHook(sent)).Each(t.Context(), q, func(eventsourcing.Recorded) error { return nil }); err != nil {
		t.Fatal(err)
	}
	plan := pgtest.Plan(t, db, sent.Last(t))
	_, condition, _ := strings.Cut(plan, "Index Cond:")
	condition, _, _ = strings.Cut(condition, "\n")
	if !strings.Contains(condition, "version >= 5") || !strings.Contains(condition, "version <= 8") {
		t.Error(plan)
	}
}
