package pgtest_test

import (
	"database/sql"
	"testing"

	"github.com/uptrace/bun/driver/pgdriver"
	"go.uber.org/goleak"

	"onepg/internal/fault"
	"onepg/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		pgtest.New(b)
	}
}

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	for _, database := range []func(testing.TB) string{pgtest.New, pgtest.Empty} {
		one, other := open(t, database(t)), open(t, database(t))
		if _, err := one.ExecContext(t.Context(), "CREATE TABLE mine ()"); err != nil {
			t.Fatal(err)
		}
		if exists(t, other, "SELECT to_regclass('mine') IS NOT NULL") {
			t.Error("two tests share a database")
		}
	}
}

func TestADatabaseIsDroppedAfterItsTestThoughItIsInUse(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("user", func(t *testing.T) {
		var db *sql.DB
		t.Cleanup(func() { _ = db.Close() }) // Runs after the drop, which New registers later.
		db = sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(pgtest.New(t))))
		if err := db.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	if exists(t, open(t, pgtest.Empty(t)), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name) {
		t.Errorf("%s is still there", name)
	}
}

func TestTheClusterIsNotStoppedUnderARunningTest(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.New(t))
	if err := pgtest.Stop(t.Context()); !fault.Is(err, "postgres-in-use") {
		t.Errorf("got %v", err)
	}
	exists(t, db, "SELECT true")
}

func open(t *testing.T, address string) *sql.DB {
	t.Helper()
	db := sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(address)))
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func exists(t *testing.T, db *sql.DB, query string, args ...any) bool {
	t.Helper()
	var is bool
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&is); err != nil {
		t.Fatal(err)
	}
	return is
}
