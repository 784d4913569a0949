package migrate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"onepg/internal/migrate"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

func TestWaitingForAnotherMigratorEndsAndNamesIt(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	holder := pool(t, postgres.Options{URL: url, AppName: "the-holder"}.ForMigrations())
	if _, err := holder.ExecContext(t.Context(), "SELECT pg_advisory_lock(?)", int64(0x6f6e6570676d6967)); err != nil {
		t.Fatal(err)
	}
	_, err := migrator(t, url, twoTables(), migrate.Options{LockWait: 150 * time.Millisecond}).Up(t.Context())
	wantCode(t, err, "migration-locked")
	if !strings.Contains(err.Error(), "the-holder") {
		t.Errorf("it does not say who: %v", err)
	}
}

func TestAMigratorThatLostItsLockStops(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	thief := pool(t, postgres.Options{URL: url}.ForMigrations())
	const loseLock = `SELECT pg_advisory_unlock(x'6f6e6570676d6967'::bigint);
		DO $$ BEGIN
		WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
		LOOP PERFORM pg_sleep(0.01); END LOOP;
		END $$`
	m := migrator(t, url, files("20260101000000_one", loseLock, "SELECT 1",
		"20260102000000_two", "CREATE TABLE two ()", "DROP TABLE two"), migrate.Options{})
	result := make(chan error, 1)
	go func() { _, err := m.Up(t.Context()); result <- err }()
	eventually(t, "the migration waits for the thief", func() bool { return sleepers(t, thief) == 1 })
	// The first migration's transaction still has the lock; when it ends the
	// thief is next in the queue.
	if _, err := thief.ExecContext(t.Context(), "SELECT pg_advisory_lock(x'6f6e6570676d6967'::bigint)"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-result, "migration-locked")
	if n := count(t, thief, "SELECT count(*) FROM pg_tables WHERE tablename = 'two'"); n != 0 {
		t.Error("it migrated without the lock")
	}
}

func TestAMigrationGivesWayToTrafficAndTriesAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	db := pool(t, postgres.Options{URL: url})
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE busy (id int)"); err != nil {
		t.Fatal(err)
	}
	alter := files("20260101000000_busy", "SET LOCAL lock_timeout = '50ms'; ALTER TABLE busy ADD more int", "ALTER TABLE busy DROP more")
	reader, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ExecContext(t.Context(), "SELECT FROM busy"); err != nil {
		t.Fatal(err)
	}
	impatient := migrator(t, url, alter, migrate.Options{Tries: 2, RetryPause: time.Millisecond})
	if _, err := impatient.Up(t.Context()); !postgres.IsLockTimeout(err) {
		t.Fatalf("got %v, want a lock timeout", err)
	}
	result := make(chan error, 1)
	patient := migrator(t, url, alter, migrate.Options{Tries: 100, RetryPause: 20 * time.Millisecond})
	go func() { _, err := patient.Up(t.Context()); result <- err }()
	eventually(t, "the migration waits for the lock", func() bool {
		return count(t, db, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'busy'::regclass") == 1
	})
	if err := reader.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

func TestCancellingStopsAMigrationInTheMiddle(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	m := migrator(t, url, files("20260101000000_long", "CREATE TABLE long (); SELECT pg_sleep(600)", "SELECT 1"), migrate.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { _, err := m.Up(ctx); result <- err }()
	db := pool(t, postgres.Options{URL: url})
	eventually(t, "the migration runs", func() bool { return sleepers(t, db) == 1 })
	cancel()
	select {
	case err := <-result:
		if err == nil {
			t.Error("a stopped migration reported success")
		}
	case <-time.After(5 * time.Second):
		t.Fatal("still running")
	}
	eventually(t, "the server gave up", func() bool { return sleepers(t, db) == 0 })
}

func TestAnotherToolsLockRowIsRespectedUntilUnlock(t *testing.T) {
	t.Parallel()
	m := migrator(t, pgtest.Empty(t), twoTables(), migrate.Options{})
	if removed, err := m.Unlock(t.Context()); err != nil || removed {
		t.Fatal(removed, err)
	}
	if err := m.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.LockRow(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := m.Up(t.Context())
	wantCode(t, err, "migration-lock-row")
	if removed, err := m.Unlock(t.Context()); err != nil || !removed {
		t.Fatal(removed, err)
	}
	if _, err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAPoolOfSeveralConnectionsIsRefused(t *testing.T) {
	t.Parallel()
	m, err := migrate.New(pool(t, postgres.Options{URL: pgtest.Empty(t)}), twoTables(), migrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context()); err == nil {
		t.Error("the lock and the migrations would be in different sessions")
	}
	if _, err := m.Pending(t.Context()); err != nil {
		t.Errorf("looking needs no lock: %v", err)
	}
}

func TestFilesThatCannotBeAMigrationAreRefused(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]fstest.MapFS{
		"no down":    {"20260101000000_a.tx.up.sql": {}},
		"no up":      {"20260101000000_a.tx.down.sql": {}},
		"same time":  files("20260101000000_a", "", "", "20260101000000_b", "", ""),
		"short time": files("20260101_a", "", ""),
		"no time":    files("a", "", ""),
	} {
		if _, err := migrate.New(nil, bad, migrate.Options{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAMigrationOutsideATransactionRunsOnceAndIsNoted(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	all := twoTables()
	all["20260103000000_index.up.sql"] = &fstest.MapFile{Data: []byte("CREATE INDEX CONCURRENTLY one_idx ON one (id)")}
	all["20260103000000_index.down.sql"] = &fstest.MapFile{Data: []byte("DROP INDEX CONCURRENTLY one_idx")}
	m := migrator(t, url, all, migrate.Options{})
	if done, err := m.Up(t.Context()); err != nil || len(done) != 3 {
		t.Fatal(done, err)
	}
	if done, err := m.Down(t.Context()); err != nil || len(done) != 3 {
		t.Fatal(done, err)
	}
}

func TestAMigrationOutsideATransactionIsNotRepeated(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	db := pool(t, postgres.Options{URL: url})
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE runs (); CREATE TABLE busy ()"); err != nil {
		t.Fatal(err)
	}
	reader, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback()
	if _, err := reader.ExecContext(t.Context(), "SELECT FROM busy"); err != nil {
		t.Fatal(err)
	}
	m := migrator(t, url, fstest.MapFS{
		"20260101000000_busy.up.sql": {Data: []byte(
			"INSERT INTO runs DEFAULT VALUES;\n--bun:split\nSET lock_timeout = '30ms';\n--bun:split\nALTER TABLE busy ADD more int")},
		"20260101000000_busy.down.sql": {},
	}, migrate.Options{Tries: 5, RetryPause: time.Millisecond})
	if _, err := m.Up(t.Context()); !postgres.IsLockTimeout(err) {
		t.Errorf("got %v", err)
	}
	if n := count(t, db, "SELECT count(*) FROM runs"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

func TestAFailureToConnectIsReported(t *testing.T) {
	t.Parallel()
	m := migrator(t, pgtest.Empty(t), twoTables(), migrate.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Up(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
