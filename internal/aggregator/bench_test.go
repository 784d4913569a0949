package aggregator_test

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/domains"
	"onepg/internal/domains/users"
)

// BenchmarkRebuild rebuilds the view of the users domain. Its log has a user for
// every five events, created one after the other and updated all over the log.
//
//	EVENTS=1000000 go test -run '^$' -bench Rebuild -benchtime 1x ./internal/aggregator
//
// pgtest's own cluster has fsync off; name another with APP_TEST_DATABASE_URL.
func BenchmarkRebuild(b *testing.B) {
	events := 20_000
	if text := os.Getenv("EVENTS"); text != "" {
		var err error
		if events, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	domain := users.New(domains.Deps{})
	w := aggregatortest.NewWorld(b, domain.Events)
	fill(w, events)
	r := w.Runner(aggregatortest.Replica{Known: domain.Events, Views: domain.Views})
	b.ReportAllocs()
	for b.Loop() {
		if err := r.FollowRebuild(b.Context(), "users", func(int64, int64) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(memory.Sys)/(1<<20), "MB-from-OS")
}

// fill writes a log of users in one statement, past append_events, which would
// take minutes for a million, and says that the view has read it.
func fill(w *aggregatortest.World, events int) {
	w.Exec(`WITH e AS (
	   SELECT p, p % 5 = 1 AS first, CASE WHEN p % 5 = 1 THEN p / 5 ELSE (p::bigint * 7919) % ((p - 2) / 5 + 1) END AS u
	     FROM generate_series(1, ?) p)
	 INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
	 SELECT p, now(), md5('e' || p)::uuid, md5('u' || u)::uuid, row_number() OVER (PARTITION BY u ORDER BY p), 1,
	        CASE WHEN first THEN 'user.created' ELSE 'user.updated' END, 'key:bench',
	        CASE WHEN first THEN json_build_object('name', 'User ' || u, 'email', 'user' || u || '@example.com')
	             ELSE json_build_object('name', 'User ' || u || ' at ' || p) END, '{}'
	   FROM e`, events)
	w.Exec(`UPDATE event_log_head SET "position" = ?, recorded_at = now()`, events)
	w.Exec(`INSERT INTO view_positions (view, "position") VALUES ('users', ?)`, events)
	w.Exec(`ANALYZE events`)
}
