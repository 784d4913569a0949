package aggregator_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/postgres/pgtest"
)

// A table that has just grown has no statistics, and PostgreSQL then takes all
// locks of a view for a handful.
func TestABatchReadsNoMoreLocksThanItHasAggregates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Exec(`INSERT INTO view_locks (view, aggregate_id, version) SELECT 'things', gen_random_uuid(), 1 FROM generate_series(1, 20000)`)
	// With nothing parked a batch presumes the locks and does not look.
	w.Exec(`INSERT INTO view_parked (view, aggregate_id, event_id, "position", version, error, attempts)
	 VALUES ('things', gen_random_uuid(), gen_random_uuid(), 1, 1, '', 5)`)
	for range 300 {
		w.append(uuid.New(), made{})
	}
	db, sent := w.Open("watched", 2), new(pgtest.Sent)
	r := w.Runner(aggregatortest.Replica{
		Known: types(), Views: []aggregator.View{things()}, DB: db.WithQueryHook(sent),
	})
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, query := range sent.Queries {
		if !strings.HasPrefix(query, "SELECT") || !strings.Contains(query, "FROM view_locks") {
			continue
		}
		seen++
		plan := pgtest.Plan(t, db, query)
		if strings.Contains(plan, "Seq Scan on view_locks") || !strings.Contains(plan, "Index Cond: ((view = 'things'::text) AND (aggregate_id = ") {
			t.Errorf("%.200s …\n%s", query, plan)
		}
	}
	if seen == 0 {
		t.Error("no batch has asked for locks")
	}
}

// A view that stands still reads nothing, however often it is woken.
func TestAViewThatStandsStillReadsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.replica(types()).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.append(uuid.New(), made{}, added{1})
	claims := func(revision int) int {
		return len(w.Strings("SELECT coalesce(id::text, '') FROM view_claim('things', NULL, 'thing', ?, 1000)", revision))
	}
	if n := claims(1); n != 3 {
		t.Errorf("%d rows of a view with two events to read", n)
	}
	if n := claims(0); n != 1 {
		t.Errorf("%d rows of a newer program's view", n)
	}
	w.Exec("UPDATE view_positions SET halted = 'too much'")
	if n := claims(1); n != 1 {
		t.Errorf("%d rows of a halted view", n)
	}
}

// Migrating down and up again makes the table of a view anew.
func TestAViewOfANewTableBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.New()
	w.append(id, made{}, added{10})
	sum := func() int {
		if err := w.replica(types()).CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w.sums()[id]
	}
	if got := sum(); got != 10 {
		t.Fatalf("the sum is %d", got)
	}
	w.Exec(`SELECT grant_view('things')`) // rows are there
	w.append(id, added{2})
	if got := sum(); got != 12 {
		t.Errorf("the sum is %d", got)
	}
	w.Exec(`DROP TABLE things`)
	w.Exec(table)
	w.Exec(`SELECT grant_view('things')`)
	if got := sum(); got != 12 {
		t.Errorf("the sum is %d in the new table", got)
	}
}

// A function that forbids sequential scans has a plan that looks dear, and where
// PostgreSQL may compile plans it would compile that one at every call.
func TestNoFunctionIsCompiled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range w.Strings(`SELECT proname FROM pg_proc
	  WHERE proconfig @> ARRAY['enable_seqscan=off'] AND NOT proconfig @> ARRAY['jit=off']`) {
		t.Errorf("%s forbids sequential scans and does not SET jit = off", name)
	}
	if len(w.Strings(`SELECT proname FROM pg_proc WHERE proconfig @> ARRAY['jit=off']`)) == 0 {
		t.Error("there is no such function")
	}
}
