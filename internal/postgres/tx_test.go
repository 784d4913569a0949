package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/uptrace/bun"

	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// counter is a database with one row to fight over.
func counter(t *testing.T, url string) *bun.DB {
	t.Helper()
	db := open(t, postgres.Options{URL: url})
	exec(t, db, "CREATE TABLE counter AS SELECT 0 AS n")
	return db
}

func increment(ctx context.Context, db bun.IDB) error {
	_, err := db.ExecContext(ctx, "UPDATE counter SET n = n + 1")
	return err
}

func TestASerializationFailureIsTriedAgain(t *testing.T) {
	t.Parallel()
	db := counter(t, pgtest.Empty(t))
	tries := 0
	err := postgres.InTx(t.Context(), db, postgres.TxOptions{Isolation: sql.LevelRepeatableRead},
		func(ctx context.Context, tx bun.Tx) error {
			tries++
			var n int
			if err := tx.NewRaw("SELECT n FROM counter").Scan(ctx, &n); err != nil {
				return err
			}
			if tries == 1 { // another session is faster
				if err := increment(ctx, db); err != nil {
					return err
				}
			}
			return increment(ctx, tx)
		})
	if err != nil || tries != 2 || value(t, db, "SELECT n FROM counter") != "2" {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestTriesAreFewAndEndAsUnavailable(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: pgtest.Empty(t)})
	for _, state := range []string{"40001", "40P01"} {
		tries := 0
		err := postgres.InTx(t.Context(), db, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
			tries++
			_, err := tx.ExecContext(ctx, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '"+state+"'; END $$")
			return err
		})
		wantUnavailable(t, err)
		if tries != 4 || postgres.SQLState(err) != state {
			t.Errorf("%d tries, %v", tries, err)
		}
	}
}

func TestAFailureOrAPanicRollsBackAndFreesTheConnection(t *testing.T) {
	t.Parallel()
	db := counter(t, pgtest.Empty(t))
	refusal := errors.New("no")
	err := postgres.InTx(t.Context(), db, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		return errors.Join(increment(ctx, tx), refusal)
	})
	if !errors.Is(err, refusal) {
		t.Errorf("got %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		t.Error(postgres.InTx(t.Context(), db, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
			panic(increment(ctx, tx))
		}))
	}()
	if n := value(t, db, "SELECT n FROM counter"); n != "0" || db.Stats().InUse != 0 {
		t.Errorf("n = %s, %d connections in use", n, db.Stats().InUse)
	}
}

func TestAReadOnlyTransactionCannotWrite(t *testing.T) {
	t.Parallel()
	db := counter(t, pgtest.Empty(t))
	err := postgres.InTx(t.Context(), db, postgres.TxOptions{ReadOnly: true}, increment2)
	if postgres.SQLState(err) != "25006" {
		t.Errorf("got %v", err)
	}
}

func increment2(ctx context.Context, tx bun.Tx) error { return increment(ctx, tx) }

func TestACommitWithoutAnAnswerIsUnknownAndNotRepeated(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	direct := counter(t, url)
	cut := open(t, postgres.Options{URL: newProxy(t, url, &proxy{cutAfter: []byte("COMMIT")})})
	tries := 0
	err := postgres.InTx(t.Context(), cut, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		tries++
		return increment(ctx, tx)
	})
	wantUnavailable(t, err)
	if !postgres.OutcomeUnknown(err) || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
	if n := value(t, direct, "SELECT n FROM counter"); n != "1" {
		t.Errorf("n = %s: the commit did happen", n)
	}
}

func TestAConnectionLostBeforeTheCommitLeavesNoDoubt(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	direct := counter(t, url)
	cut := open(t, postgres.Options{URL: newProxy(t, url, &proxy{cutAfter: []byte("UPDATE")})})
	tries := 0
	err := postgres.InTx(t.Context(), cut, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		tries++
		return increment(ctx, tx)
	})
	wantUnavailable(t, err)
	if postgres.OutcomeUnknown(err) || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
	if n := value(t, direct, "SELECT n FROM counter"); n != "0" {
		t.Errorf("n = %s", n)
	}
}

func TestAContextThatEndsInATransactionRollsItBack(t *testing.T) {
	t.Parallel()
	db := counter(t, pgtest.Empty(t))
	ctx, cancel := context.WithCancel(t.Context())
	err := postgres.InTx(ctx, db, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		err := increment(ctx, tx)
		cancel()
		return err
	})
	wantUnavailable(t, err)
	if postgres.OutcomeUnknown(err) {
		t.Errorf("COMMIT was not sent: %v", err)
	}
	if n := value(t, db, "SELECT n FROM counter"); n != "0" {
		t.Errorf("n = %s", n)
	}
}
