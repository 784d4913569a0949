package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/driver/pgdriver"
	bunmigrate "github.com/uptrace/bun/migrate"

	"onepg/internal/fault"
	"onepg/internal/pause"
	"onepg/internal/postgres"
)

// lockKey is the advisory lock of a migrating session, "onepgmig" in ASCII.
// Advisory locks are per database, so one number serves all.
const lockKey int64 = 0x6f6e6570676d6967

const (
	lockPoll      = 100 * time.Millisecond
	unlockTimeout = 5 * time.Second
)

// locked runs fn while this session holds the migration lock.
func (m *Migrator) locked(ctx context.Context, fn func() error) error {
	if m.db.Stats().MaxOpenConnections != 1 {
		return errors.New("migrations need a pool opened with postgres.Options.ForMigrations")
	}
	stop, err := m.hangUpWith(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.release(ctx)
	return fn()
}

// hangUpWith closes the session's socket when ctx ends. Why: pgdriver waits for
// its statement whatever becomes of the context, so without this Ctrl-C would
// last as long as the migration. The server notices within two seconds and
// undoes the transaction.
func (m *Migrator) hangUpWith(ctx context.Context) (stop func() bool, err error) {
	conn, err := postgres.Acquire(ctx, m.db, 0)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // it only returns the connection to the pool
	err = postgres.Raw(conn.Conn, func(session *pgdriver.Conn) error {
		stop = context.AfterFunc(ctx, func() { _ = session.Conn().Close() })
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("prepare to hang up: %w", err)
	}
	return stop, nil
}

// lock waits for the migration lock. Why it polls: a session that waits inside
// pg_advisory_lock holds a snapshot, and CREATE INDEX CONCURRENTLY in the
// session that holds the lock would wait for that snapshot for ever.
func (m *Migrator) lock(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, m.o.LockWait)
	defer cancel()
	for {
		var got bool
		err := m.db.QueryRowContext(ctx, "SELECT pg_try_advisory_lock(?)", lockKey).Scan(&got)
		if err != nil {
			return postgres.Fault(fmt.Errorf("take the migration lock: %w", err))
		}
		if got {
			return nil
		}
		if !pause.For(wait, lockPoll) {
			return m.lockedByOther(ctx)
		}
	}
}

// lockedByOther says who holds the lock.
func (m *Migrator) lockedByOther(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for the migration lock: %w", err)
	}
	const query = `
SELECT format('process %s (%s, from %s, since %s)', a.pid, coalesce(nullif(a.application_name, ''), 'no name'),
              coalesce(host(a.client_addr), 'this machine'), to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = ?`
	holder := "a session that has just ended"
	_ = m.db.QueryRowContext(ctx, query, lockKey).Scan(&holder) // the lock is the news
	return fault.New(fault.Unavailable, "migration-locked", fmt.Sprintf(
		"Another migration is running on this database for longer than %s: %s. Wait for it, or end that process.",
		m.o.LockWait, holder))
}

// release gives the lock back, also when ctx has ended. If the connection broke
// the server has released it already.
func (m *Migrator) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
	defer cancel()
	_, _ = m.db.ExecContext(ctx, "SELECT pg_advisory_unlock(?)", lockKey) // see above
}

// proveLock fails if another session holds the migration lock: ours was lost
// with its connection, or a pooler sends our statements to several sessions.
func proveLock(ctx context.Context, conn bun.IConn, _ *bunmigrate.Migration) error {
	var ours bool
	row := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock(?)", lockKey)
	if err := row.Scan(&ours); err != nil {
		return fmt.Errorf("check the migration lock: %w", err)
	}
	if !ours {
		return fault.New(fault.Unavailable, "migration-locked",
			"The migration lock was lost to another session. Run again, over a direct connection if there is a pooler between.")
	}
	return nil
}

// refuseForeignLock respects the row by which bun's own tools lock.
func (m *Migrator) refuseForeignLock(ctx context.Context) error {
	var locked bool
	err := m.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM bun_migration_locks)").Scan(&locked)
	switch {
	case err != nil:
		return postgres.Fault(fmt.Errorf("look for a lock row: %w", err))
	case locked:
		return fault.New(fault.Conflict, "migration-lock-row",
			"Another tool has locked the migrations. If it is not running any more, remove its lock with: app migrate unlock")
	default:
		return nil
	}
}

// Unlock removes the lock row another bun tool left behind and reports whether
// there was one. Our own lock needs no removal: it ends with its session.
func (m *Migrator) Unlock(ctx context.Context) (bool, error) {
	var exists bool
	err := m.db.QueryRowContext(ctx, "SELECT to_regclass('bun_migration_locks') IS NOT NULL").Scan(&exists)
	if err != nil {
		return false, postgres.Fault(fmt.Errorf("look for the lock table: %w", err))
	}
	if !exists {
		return false, nil
	}
	result, err := m.db.ExecContext(ctx, "DELETE FROM bun_migration_locks")
	if err != nil {
		return false, postgres.Fault(fmt.Errorf("remove the lock row: %w", err))
	}
	n, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("count the lock rows: %w", err)
	}
	return n > 0, nil
}
