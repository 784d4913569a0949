package users

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// The tables have no statistics, as those that have just grown.
func TestReadingAFewUsersDoesNotReadAll(t *testing.T) {
	t.Parallel()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: pgtest.New(t), AppName: "users", MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var ids []uuid.UUID
	for _, query := range []string{
		`INSERT INTO users (id, name, email, version, created_at, updated_at)
		 SELECT gen_random_uuid(), 'Ada', 'ada@example.com', 1, now(), now() FROM generate_series(1, 20000)`,
		`INSERT INTO view_locks (view, aggregate_id, version) SELECT 'users', id, 1 FROM users`,
	} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.NewRaw("SELECT id FROM users LIMIT 100").Scan(t.Context(), &ids); err != nil {
		t.Fatal(err)
	}
	sent := new(pgtest.Sent)
	watched := repository{db: db.WithQueryHook(sent)}
	check := func(what string, found int, err error, condition string) {
		t.Helper()
		if err != nil || found != len(ids) {
			t.Errorf("%s: %d of %d, %v", what, found, len(ids), err)
		}
		if plan := pgtest.Plan(t, db, sent.Last(t)); !strings.Contains(plan, "Index Cond: "+condition) {
			t.Errorf("%s:\n%s", what, plan)
		}
	}
	rows, err := watched.withIDs(t.Context(), append(ids, uuid.New()))
	check("rows", len(rows), err, "(id = i.id)")
	locked, err := watched.locked(t.Context(), append(ids, uuid.New()))
	check("locks", len(locked), err, "((view = 'users'::text) AND (aggregate_id = ")
}
