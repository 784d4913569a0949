package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/uptrace/bun"

	"onepg/internal/pause"
)

// DefaultPoolWait is how long a caller without a wish of its own waits for a
// connection. Why bounded: database/sql waits for ever, and a request that
// hangs is worse than one that is refused and repeated.
const DefaultPoolWait = 2 * time.Second

// maxTries bounds InTx. Why four: under contention most transactions pass at
// the second try; one that fails four times is better refused.
const maxTries = 4

// firstBackoff is the longest pause before the second try; it doubles each
// time.
const firstBackoff = 10 * time.Millisecond

// Acquire takes a connection out of the pool, or opens one, within wait; zero
// means [DefaultPoolWait]. The wait bounds the acquisition only: the connection
// lives on until the caller closes it, which returns it to the pool. The
// failure is "unavailable".
func Acquire(ctx context.Context, db *bun.DB, wait time.Duration) (bun.Conn, error) {
	if wait <= 0 {
		wait = DefaultPoolWait
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	conn, err := db.Conn(bounded)
	if err != nil {
		return bun.Conn{}, Fault(undoneWait(wait, err))
	}
	return conn, nil
}

// undoneWait is why there is no connection; nothing was sent.
func undoneWait(wait time.Duration, err error) error {
	return &undoneError{fmt.Errorf("acquire a database connection within %s: %w", wait, err)}
}

// TxOptions are the wishes of a caller of [InTx]; the zero value is a
// transaction at the server's default level, read committed.
type TxOptions struct {
	Isolation sql.IsolationLevel
	ReadOnly  bool
	// PoolWait is the wait of [Acquire], anew for every try.
	PoolWait time.Duration
}

// InTx runs fn in a transaction: it commits when fn returns nil and rolls back
// when fn fails or panics. Serialization failures and deadlocks, of fn or of
// the commit, are tried again up to four times in all, so fn must have no
// effect but on tx, and must return every error of tx: PostgreSQL answers the
// COMMIT of a failed transaction with a quiet rollback, which pgdriver does not
// report.
//
// Failures come back through [Fault]. A broken connection is not retried;
// [OutcomeUnknown] is true for it only if COMMIT had been sent.
func InTx(ctx context.Context, db *bun.DB, o TxOptions, fn func(context.Context, bun.Tx) error) error {
	for try := 1; ; try++ {
		err := runTx(ctx, db, o, fn)
		// Why random: two transactions that collided must not collide again.
		if try == maxTries || !Retryable(err) || !pause.For(ctx, rand.N(firstBackoff<<(try-1))) { //nolint:gosec // jitter
			return Fault(err)
		}
	}
}

func runTx(ctx context.Context, db *bun.DB, o TxOptions, fn func(context.Context, bun.Tx) error) error {
	conn, err := Acquire(ctx, db, o.PoolWait)
	if err != nil {
		return err
	}
	defer conn.Close() // it only returns the connection to the pool
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: o.Isolation, ReadOnly: o.ReadOnly})
	if err != nil {
		return undone(ctx, fmt.Errorf("begin: %w", err))
	}
	// After a commit this does nothing; after an error or a panic it is what
	// gives the locks back. Its own failure closes the connection.
	defer tx.Rollback() //nolint:errcheck // see above
	if err := fn(ctx, tx); err != nil {
		return undone(ctx, err)
	}
	if err := tx.Commit(); err != nil {
		err = fmt.Errorf("commit: %w", err)
		if ctx.Err() != nil && (isContextEnd(err) || errors.Is(err, sql.ErrTxDone)) {
			// database/sql looks at the context before it sends COMMIT, not after.
			return &undoneError{err}
		}
		return err
	}
	return nil
}

// undone marks a broken connection as harmless: without its COMMIT the
// transaction is rolled back. ErrTxDone is what a statement gets when the
// context ended the transaction before it.
func undone(ctx context.Context, err error) error {
	if OutcomeUnknown(err) || ctx.Err() != nil && errors.Is(err, sql.ErrTxDone) {
		return &undoneError{err}
	}
	return err
}
