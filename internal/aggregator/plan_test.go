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
