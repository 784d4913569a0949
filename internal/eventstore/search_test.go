package eventstore_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/postgres/pgtest"
)

// many fills the log with n events of ten per aggregate, two names, an actor that
// is rare, and a correlation for every hundred.
func many(t *testing.T, db *bun.DB, n int) {
	t.Helper()
	for _, sql := range []string{
		`INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
		 SELECT g, ?::timestamptz + g * interval '1 ms', ('00000000-0000-4000-9000-' || lpad(g::text, 12, '0'))::uuid,
		        ('00000000-0000-4000-8000-' || lpad(((g - 1) / 10)::text, 12, '0'))::uuid, (g - 1) % 10 + 1, 1 + g % 2,
		        CASE WHEN g % 10 = 1 THEN 'thing.made' ELSE 'thing.changed' END,
		        CASE WHEN g = 7 THEN 'key:rare' ELSE 'key:web' END, '{}',
		        jsonb_build_object('correlation_id', 'story-' || g / 100, 'causation_id', 'cause-' || g / 50)
		   FROM generate_series(1, ?) g`,
		`UPDATE event_log_head SET recorded_at = ?::timestamptz + ? * interval '1 ms', "position" = (SELECT max("position") FROM events)`,
	} {
		if _, err := db.ExecContext(t.Context(), sql, beginning, n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "ANALYZE events"); err != nil {
		t.Fatal(err)
	}
}

func positions(events []eventsourcing.Recorded) []int64 {
	list := make([]int64, len(events))
	for i, e := range events {
		list[i] = e.Position
	}
	return list
}

// Pages of a search join without gap or repetition, in both directions, and find
// exactly what the conditions say.
func TestASearchIsReadOnPageByPage(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const n = 500
	many(t, db, n)
	aggregate := uuid.MustParse("00000000-0000-4000-8000-000000000003")
	for what, c := range map[string]struct {
		search  eventstore.Search
		selects func(p int64) bool
	}{
		"all":                      {eventstore.Search{}, func(int64) bool { return true }},
		"of a name":                {eventstore.Search{Name: "thing.made"}, func(p int64) bool { return p%10 == 1 }},
		"of an actor":              {eventstore.Search{Actor: "key:rare"}, func(p int64) bool { return p == 7 }},
		"of an aggregate":          {eventstore.Search{AggregateID: aggregate}, func(p int64) bool { return (p-1)/10 == 3 }},
		"of a kind":                {eventstore.Search{Aggregate: "thing"}, func(int64) bool { return true }},
		"of another kind":          {eventstore.Search{Aggregate: "other"}, func(int64) bool { return false }},
		"of a story":               {eventstore.Search{CorrelationID: "story-2"}, func(p int64) bool { return p/100 == 2 }},
		"of a story and a cause":   {eventstore.Search{CorrelationID: "story-2", CausationID: "cause-5"}, func(p int64) bool { return p/50 == 5 }},
		"between two positions":    {eventstore.Search{After: 100, Before: 123}, func(p int64) bool { return p > 100 && p < 123 }},
		"beyond the end":           {eventstore.Search{After: n}, func(int64) bool { return false }},
		"of a name after a place":  {eventstore.Search{After: 480, Name: "thing.made"}, func(p int64) bool { return p > 480 && p%10 == 1 }},
		"of an aggregate, in part": {eventstore.Search{AggregateID: aggregate, Before: 36}, func(p int64) bool { return p > 30 && p < 36 }},
	} {
		var want []int64
		for p := int64(1); p <= n; p++ {
			if c.selects(p) {
				want = append(want, p)
			}
		}
		for _, rising := range []bool{true, false} {
			c.search.Rising = rising
			got := searchOn(t, l, c.search)
			if !rising {
				slices.Reverse(got)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, rising %t: %v, want %v", what, rising, got, want)
			}
		}
	}
}

// searchOn reads all pages of a search.
func searchOn(t *testing.T, l *eventstore.Log, s eventstore.Search) []int64 {
	t.Helper()
	s.Limit = 3
	var got []int64
	for range 1000 {
		found, err := l.Search(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, positions(found.Events)...)
		if !found.More {
			return got
		}
		if s.Rising {
			s.After = found.Before - 1
		} else {
			s.Before = found.After + 1
		}
	}
	t.Fatal("the search does not end")
	return nil
}

// What no index knows is looked for in bounded steps, and the answer says which.
func TestASearchWithoutAnIndexIsBounded(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const n, window = 20_000, 19_000
	many(t, db, n)
	found, err := l.Search(t.Context(), eventstore.Search{Actor: "key:rare", Limit: 5, Window: window})
	if err != nil || len(found.Events) != 0 || !found.More || found.Before != n+1 || found.After != 1000 {
		t.Fatalf("%+v %v", found, err)
	}
	found, err = l.Search(t.Context(), eventstore.Search{Actor: "key:rare", Limit: 5, Before: found.After + 1, Window: window})
	if err != nil || !slices.Equal(positions(found.Events), []int64{7}) || found.More {
		t.Errorf("%+v %v", found, err)
	}
	for what, s := range map[string]eventstore.Search{
		"newest first":   {Limit: 50},
		"by actor":       {Actor: "key:rare", Limit: 50},
		"by name":        {Name: "thing.gone", Limit: 50, Before: 15_000},
		"from a place":   {After: 500, Rising: true, Limit: 50},
		"by aggregate":   {AggregateID: uuid.New(), Limit: 50},
		"by correlation": {CorrelationID: "story-5", Limit: 50},
		"by cause":       {CorrelationID: "story-5", CausationID: "cause-10", After: 500, Rising: true, Limit: 50},
	} {
		s.Window = 2000 // of so small a log; the default would be all of it
		if plan := explain(t, db, s); strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, "Index Scan") {
			t.Errorf("%s: %s", what, plan)
		}
	}
}

// Until PostgreSQL has looked at a table that has just been filled it takes every
// condition for one that leaves few rows.
func TestAnAggregateIsFoundByItsIdInALogThatHasJustBeenFilled(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	many(t, db, 20_000)
	for _, query := range []string{
		"DELETE FROM pg_statistic WHERE starelid = 'events'::regclass",
		"UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relname = 'events'",
	} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	sent := new(pgtest.Sent)
	if _, err := eventstore.ReadFrom(t.Context(), db.WithQueryHook(sent), eventstore.Query{AggregateID: uuid.New(), After: 5, UpTo: 20_000}); err != nil {
		t.Fatal(err)
	}
	for _, plan := range []string{explain(t, db, eventstore.Search{AggregateID: uuid.New(), Limit: 50}), pgtest.Plan(t, db, sent.Last(t))} {
		if strings.Contains(plan, "events_pkey") || !strings.Contains(plan, "events_aggregate_id_version_key") {
			t.Error(plan)
		}
	}
}

// explain gives the plan of the statement that a search sends.
func explain(t *testing.T, db *bun.DB, s eventstore.Search) string {
	t.Helper()
	sent := new(pgtest.Sent)
	if _, err := openOn(t, db.WithQueryHook(sent)).Search(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return pgtest.Plan(t, db, sent.Last(t))
}

// Counting in steps comes to the same as counting at once.
func TestATallyOfPartsIsThatOfTheWhole(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	many(t, db, 500)
	whole, err := l.Tally(t.Context(), 0, 500)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, tally := range whole {
		counts[tally.Name+string(rune('0'+tally.SchemaVersion))] += tally.Count
	}
	if len(counts) != 3 || counts["thing.made2"] != 50 || counts["thing.changed1"] != 250 || counts["thing.changed2"] != 200 {
		t.Errorf("%v", counts)
	}
	for after := int64(0); after < 500; after += 120 {
		part, err := l.Tally(t.Context(), after, min(500, after+120))
		if err != nil {
			t.Fatal(err)
		}
		for _, tally := range part {
			counts[tally.Name+string(rune('0'+tally.SchemaVersion))] -= tally.Count
			if tally.LastPosition <= after || tally.LastAt.Before(tally.FirstAt.Time) {
				t.Errorf("%+v", tally)
			}
		}
	}
	for name, left := range counts {
		if left != 0 {
			t.Errorf("%s: %d", name, left)
		}
	}
}

func TestMomentsHaveTheirPositionsTogether(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	if got, err := l.PositionsAt(t.Context(), []time.Time{beginning}); err != nil || !slices.Equal(got, []int64{0}) {
		t.Errorf("an empty log: %v %v", got, err)
	}
	many(t, db, 100)
	var moments []time.Time
	var want []int64
	for _, ms := range []int{-5, 0, 1, 50, 49, 100, 5000} {
		moments = append(moments, beginning.Add(time.Duration(ms)*time.Millisecond))
		want = append(want, min(100, max(0, int64(ms))))
	}
	got, err := l.PositionsAt(t.Context(), moments)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	if size, err := l.Size(t.Context()); err != nil || size.Database <= size.Events || size.Events <= 0 || size.EventsIndexes <= 0 {
		t.Errorf("%+v %v", size, err)
	}
}
