package postgres_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"testing"
	"time"

	"onepg/internal/fault"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	f, ok := fault.Of(err)
	if !ok || f.Kind != fault.Unavailable || f.Code != "unavailable" || f.RetryAfter <= 0 {
		t.Errorf("got %v, want unavailable with advice when to retry", err)
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestTimeoutsOfTheServerAreUnavailableAndLeaveNoDoubt(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	db := open(t, postgres.Options{URL: url, StatementTimeout: 100 * time.Millisecond, LockTimeout: 50 * time.Millisecond})
	other := open(t, postgres.Options{URL: url})
	exec(t, db, "CREATE TABLE busy (id int)")
	blocker, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer blocker.Rollback() // the test is over
	exec(t, blocker, "LOCK TABLE busy")
	readOnly := open(t, postgres.Options{URL: url, Settings: map[string]string{"default_transaction_read_only": "on"}})
	_, slow := db.ExecContext(t.Context(), "SELECT pg_sleep(5)")
	_, locked := db.ExecContext(t.Context(), "INSERT INTO busy VALUES (1)")
	_, refused := readOnly.ExecContext(t.Context(), "CREATE TABLE more ()")
	for state, err := range map[string]error{"57014": slow, "55P03": locked, "25006": refused} {
		wantUnavailable(t, postgres.Fault(err))
		if got := postgres.SQLState(postgres.Fault(err)); got != state {
			t.Errorf("SQLSTATE %q, want %q", got, state)
		}
		if postgres.OutcomeUnknown(err) || postgres.Retryable(err) || postgres.IsLockTimeout(err) != (state == "55P03") {
			t.Errorf("misjudged: %v", err)
		}
	}
	if got := value(t, db, "SELECT 'well'"); got != "well" {
		t.Error("the pool did not recover")
	}
}

func TestATerminatedBackendLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	db := open(t, postgres.Options{URL: url})
	killer := open(t, postgres.Options{URL: url})
	result := make(chan error, 1)
	go func() { _, err := db.ExecContext(t.Context(), "SELECT pg_sleep(60)"); result <- err }()
	eventually(t, "the victim is killed", func() bool {
		return value(t, killer, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event = 'PgSleep'`) == "1"
	})
	err := <-result
	wantUnavailable(t, postgres.Fault(err))
	if !postgres.OutcomeUnknown(err) || postgres.Retryable(err) {
		t.Errorf("the statement was under way: %v", err)
	}
}

func TestTheEndOfTheContextLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: pgtest.Empty(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := db.ExecContext(ctx, "SELECT pg_sleep(5)")
	wantUnavailable(t, postgres.Fault(err))
	if !postgres.OutcomeUnknown(err) {
		t.Errorf("the statement was under way: %v", err)
	}
}

func TestAUniqueViolationIsToldByItsConstraint(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: pgtest.Empty(t)})
	exec(t, db, "CREATE TABLE t (id int CONSTRAINT t_pk PRIMARY KEY)")
	exec(t, db, "INSERT INTO t VALUES (1)")
	_, err := db.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
	if !postgres.IsUniqueViolation(err, "t_pk") || !postgres.IsUniqueViolation(err, "") || postgres.IsUniqueViolation(err, "other") {
		t.Errorf("misjudged: %v", err)
	}
	if f, ok := fault.Of(postgres.Fault(err)); ok {
		t.Errorf("a refusal became %v", f)
	}
	if postgres.OutcomeUnknown(err) {
		t.Error("the server said no")
	}
}

func TestErrorsThatAreNotAboutTheDatabaseStayAsTheyAre(t *testing.T) {
	t.Parallel()
	conflict := fault.Wrap(io.EOF, fault.Conflict, "version-conflict", "no")
	for _, err := range []error{nil, errors.New("a defect"), conflict} {
		if got := postgres.Fault(err); got != err { //nolint:errorlint // the very same error
			t.Errorf("%v became %v", err, got)
		}
	}
	if postgres.SQLState(nil) != "" || postgres.OutcomeUnknown(nil) || postgres.OutcomeUnknown(driver.ErrBadConn) {
		t.Error("misjudged nil or a connection that sent nothing")
	}
	wantUnavailable(t, postgres.Fault(driver.ErrBadConn))
}

func TestEverySQLStateOfAServerInTroubleIsUnavailable(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: pgtest.Empty(t)})
	for state, unknown := range map[string]bool{
		"53100": false, "53200": false, "53300": false, "53400": false, "57P01": true, "57P02": true, "57P03": false,
		"08006": true, "08007": true, "40001": false, "40003": true, "40P01": false, "25P03": false, "58030": false,
	} {
		_, err := db.ExecContext(t.Context(), "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '"+state+"'; END $$")
		wantUnavailable(t, postgres.Fault(err))
		if postgres.OutcomeUnknown(err) != unknown || postgres.SQLState(err) != state {
			t.Errorf("%s: misjudged %v", state, err)
		}
	}
	for _, state := range []string{"22012", "23514", "42P01", "P0001", "XX000"} {
		_, err := db.ExecContext(t.Context(), "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '"+state+"'; END $$")
		if f, ok := fault.Of(postgres.Fault(err)); ok {
			t.Errorf("%s became %v", state, f)
		}
	}
}
