package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// noting is a database with one connection and a table that notes, in order, with
// which message a row came.
func noting(t *testing.T) *bun.DB {
	t.Helper()
	db := open(t, postgres.Options{URL: pgtest.Empty(t), MaxConns: 1})
	exec(t, db, "CREATE TABLE notes (n serial, said text UNIQUE, message text DEFAULT current_query())")
	return db
}

// note says something; what begins with a comment that never ends shall not hide
// what comes after it.
func note(ctx context.Context, db bun.IDB, said string) error {
	_, err := db.NewRaw("INSERT INTO notes (said) VALUES (?) -- ", said).Exec(ctx)
	return err
}

func notes(t *testing.T, db bun.IDB) string {
	t.Helper()
	return value(t, db, "SELECT coalesce(string_agg(said, ' ' ORDER BY n), '') FROM notes")
}

func TestStatementsOfATransactionTravelTogether(t *testing.T) {
	t.Parallel()
	db := noting(t)
	err := postgres.InTx(t.Context(), db, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		later := postgres.Later(ctx)
		err := errors.Join(note(ctx, tx, "a?"), note(later, tx, "b$1"))
		if _, e := tx.NewRaw("SELECT 'a row that nobody reads'").Exec(later); e != nil {
			return e
		}
		return errors.Join(err, note(later, tx, "c"))
	})
	if err != nil || notes(t, db) != "a? b$1 c" {
		t.Fatalf("%v, %q", err, notes(t, db))
	}
	for said, with := range map[string]string{"a?": "BEGIN%a?%", "b$1": "INSERT%b$1%nobody%INSERT%COMMIT", "c": "INSERT%b$1%nobody%INSERT%COMMIT"} {
		if value(t, db, "SELECT (message LIKE ?)::text FROM notes WHERE said = ?", with, said) != "true" {
			t.Errorf("%s came with %q", said, value(t, db, "SELECT message FROM notes WHERE said = ?", said))
		}
	}
}

func TestAQuerySeesWhatWasToBeSentLater(t *testing.T) {
	t.Parallel()
	db := noting(t)
	err := postgres.InTx(t.Context(), db, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewRaw("SELECT 'not these rows'").Exec(postgres.Later(ctx)); err != nil {
			return err
		}
		if err := note(postgres.Later(ctx), tx, "a?$1"); err != nil {
			return err
		}
		if got := notes(t, tx); got != "a?$1" {
			t.Errorf("the query sees %q", got)
		}
		if err := note(postgres.Later(ctx), tx, "b?$1"); err != nil {
			return err
		}
		// As database/sql has it, and not as bun does.
		if _, err := tx.Tx.ExecContext(postgres.Later(ctx), "INSERT INTO notes (said) VALUES ($1)", "c"); err == nil {
			t.Error("arguments are not refused")
		}
		return nil
	})
	if err != nil || notes(t, db) != "a?$1 b?$1" {
		t.Errorf("%v, %q", err, notes(t, db))
	}
}

// The failure of a statement that was to be sent later comes with whatever takes it
// along, undoes all, and leaves a connection that can be used.
func TestWhatFailsLaterFailsTheTransaction(t *testing.T) {
	t.Parallel()
	db := noting(t)
	for name, last := range map[string]func(context.Context, bun.Tx) error{
		"commit":    func(context.Context, bun.Tx) error { return nil },
		"statement": func(ctx context.Context, tx bun.Tx) error { return note(ctx, tx, "c") },
		"query":     func(ctx context.Context, tx bun.Tx) error { return tx.NewRaw("SELECT 1").Scan(ctx, new(int)) },
	} {
		err := postgres.InTx(t.Context(), db, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
			later := postgres.Later(ctx)
			if err := errors.Join(note(ctx, tx, "a"), note(later, tx, "a"), note(later, tx, "b")); err != nil {
				t.Errorf("%s: it was sent at once: %v", name, err)
			}
			return last(ctx, tx)
		})
		if !postgres.IsUniqueViolation(err, "") || postgres.OutcomeUnknown(err) {
			t.Errorf("%s: %v", name, err)
		}
		if got := notes(t, db); got != "" {
			t.Errorf("%s: %q is there", name, got)
		}
	}
}

func TestARollbackForgetsWhatWasToBeSentLater(t *testing.T) {
	t.Parallel()
	db := noting(t)
	refusal := errors.New("no")
	for _, first := range []string{"", "a"} { // before and after the server knows of the transaction
		err := postgres.InTx(t.Context(), db, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
			if first != "" {
				if err := note(ctx, tx, first); err != nil {
					return err
				}
			}
			return errors.Join(note(postgres.Later(ctx), tx, "b"), refusal)
		})
		if !errors.Is(err, refusal) || notes(t, db) != "" {
			t.Errorf("%v, %q is there", err, notes(t, db))
		}
	}
}

// PostgreSQL takes a message that it cannot parse for no statement at all, BEGIN
// included.
func TestNothingIsDoneOutsideOfATransactionThatCouldNotBegin(t *testing.T) {
	t.Parallel()
	db := noting(t)
	err := postgres.InTx(t.Context(), db, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, "NONSENSE")
		if postgres.SQLState(err) != "42601" {
			t.Errorf("got %v", err)
		}
		for _, ctx := range []context.Context{postgres.Later(ctx), ctx} {
			_ = note(ctx, tx, "a") // against what InTx asks for
		}
		return tx.NewRaw("SELECT 1").Scan(ctx, new(int))
	})
	if err == nil || notes(t, db) != "" {
		t.Errorf("%v, %q is there", err, notes(t, db))
	}
	err = postgres.InTx(t.Context(), db, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		return note(ctx, tx, "b")
	})
	if err != nil || notes(t, db) != "b" {
		t.Errorf("%v, %q", err, notes(t, db))
	}
}

func TestPreparedStatementsAreRefused(t *testing.T) {
	t.Parallel()
	db := noting(t)
	if s, err := db.PrepareContext(t.Context(), "SELECT 1"); err == nil {
		t.Error("it was prepared", s.Close())
	}
}

func TestOutsideOfATransactionNothingIsLater(t *testing.T) {
	t.Parallel()
	db := noting(t)
	nothing := func(context.Context, bun.Tx) error { return nil }
	if err := postgres.InTx(t.Context(), db, postgres.TxOptions{}, nothing); err != nil {
		t.Fatal(err)
	}
	if err := note(postgres.Later(t.Context()), db, "a"); err != nil || notes(t, db) != "a" {
		t.Errorf("%v, %q", err, notes(t, db))
	}
}

func TestATransactionHasTheLevelItAskedFor(t *testing.T) {
	t.Parallel()
	db := noting(t)
	for _, o := range []postgres.TxOptions{
		{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, {Isolation: sql.LevelSerializable}, {ReadOnly: true}, {},
	} {
		var level, readOnly string
		err := postgres.InTx(t.Context(), db, o, func(_ context.Context, tx bun.Tx) error {
			level, readOnly = value(t, tx, "SHOW transaction_isolation"), value(t, tx, "SHOW transaction_read_only")
			return nil
		})
		want := strings.ToLower(o.Isolation.String())
		if o.Isolation == sql.LevelDefault {
			want = "read committed"
		}
		if err != nil || level != want || (readOnly == "on") != o.ReadOnly {
			t.Errorf("%+v: %v, %s, read only %s", o, err, level, readOnly)
		}
	}
}
