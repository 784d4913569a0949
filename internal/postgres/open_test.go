package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

func open(t *testing.T, o postgres.Options) *bun.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func value(t *testing.T, db bun.IDB, query string, args ...any) string {
	t.Helper()
	var v string
	if err := db.NewRaw(query, args...).Scan(t.Context(), &v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func exec(t *testing.T, db bun.IDB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// fillPool opens n connections and leaves them idle.
func fillPool(t *testing.T, db *bun.DB, n int) {
	t.Helper()
	conns := make([]bun.Conn, n)
	for i := range conns {
		var err error
		if conns[i], err = postgres.Acquire(t.Context(), db, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if idle := db.Stats().Idle; idle != n {
		t.Fatalf("%d idle connections, want %d", idle, n)
	}
}

func TestEverySessionGetsItsTimeoutsAndSettings(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{
		URL: pgtest.Empty(t), AppName: "onepg-test", LockTimeout: 1500 * time.Millisecond,
		IdleInTxTimeout: postgres.NoTimeout, Settings: map[string]string{"enable_seqscan": "off"},
	})
	for name, want := range map[string]string{
		"statement_timeout": "5s", "lock_timeout": "1500ms", "enable_seqscan": "off",
		"idle_in_transaction_session_timeout": "0", "application_name": "onepg-test",
	} {
		if got := value(t, db, "SELECT current_setting(?)", name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
}

func TestAMigrationPoolIsOneSessionWithoutAStatementTimeout(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"work_mem": "8MB"}
	db := open(t, postgres.Options{URL: pgtest.Empty(t), Settings: settings}.ForMigrations())
	if n := db.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("pool of %d", n)
	}
	for name, want := range map[string]string{
		"statement_timeout": "0", "lock_timeout": "2s", "client_connection_check_interval": "2s", "work_mem": "8MB",
	} {
		if got := value(t, db, "SELECT current_setting(?)", name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	if len(settings) != 1 {
		t.Error("the caller's settings were changed")
	}
}

func TestAcquireGivesUpAfterItsWaitAndTheConnectionOutlivesIt(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: pgtest.Empty(t), MaxConns: 1})
	conn, err := postgres.Acquire(t.Context(), db, 30*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	_, err = postgres.Acquire(t.Context(), db, 30*time.Millisecond)
	wantUnavailable(t, err)
	if postgres.OutcomeUnknown(err) {
		t.Error("nothing was sent, so the outcome is known")
	}
	if got := value(t, conn, "SELECT 'alive'"); got != "alive" {
		t.Error(got)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := postgres.Acquire(context.Background(), db, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}
