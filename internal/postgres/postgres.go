// Package postgres opens the pools every other package works with, runs their
// transactions and gives the database's failures their meaning.
//
// It stands between database/sql and the rest of the program: bun builds the
// SQL, pgdriver speaks the protocol, and what those two leave open is decided
// here, once:
//
//   - [Open] understands the URL forms libpq understands, limits how long a
//     statement, a lock or an idle transaction may last, and refuses a server
//     that is too old.
//   - A pooled connection is looked at before it is handed out, so connections
//     that died with a restarted server cost no request (see alive).
//   - [Options].PoolWait and [Acquire] bound the wait for a connection, which
//     database/sql does not.
//   - BEGIN travels with a transaction's first statement, and what was run [Later]
//     with the next: a view's batch is two round trips and not seven.
//   - [InTx] repeats serialization failures and deadlocks, and never repeats
//     what may already be committed.
//   - [Fault] is the only translation from SQLSTATE to a fault.Error, but for what
//     a server refuses by name when [Open] comes to it.
//
// It does not retry a statement whose connection broke: the request in flight
// fails as "unavailable" and its caller decides, with [OutcomeUnknown], whether
// repeating is safe. Passwords never appear in its errors; they name the host
// and the database.
//
// # Poolers
//
// Everything is sent through the simple query protocol, which works behind
// PgBouncer. In PgBouncer's transaction mode the session settings reach
// whichever server connection is behind the pool at that moment, so there they
// belong on the role (ALTER ROLE app SET statement_timeout = '5s') and each
// timeout here is [NoTimeout].
package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/driver/pgdriver"

	"onepg/internal/fault"
)

// minVersion is the oldest server this program works on, in the form of
// server_version_num.
const minVersion = 150000

// NoTimeout switches a timeout of [Options] off.
const NoTimeout time.Duration = -1

// The timeouts and sizes a zero [Options] field stands for.
const (
	defaultMaxConns         = 10
	defaultMaxLifetime      = time.Hour
	defaultMaxIdleTime      = 5 * time.Minute
	defaultStatementTimeout = 5 * time.Second
	defaultLockTimeout      = 2 * time.Second
	defaultIdleInTxTimeout  = 10 * time.Second
)

// readMargin is added to the statement timeout to get the time after which a
// silent connection is given up. Why: the server answers first, with an error
// that says what happened; only a server or network that is gone stays silent.
// Why not more: with the wait for a connection a request then takes 10 s, and
// 12 s are promised.
const readMargin = 3 * time.Second

// Options says where a pool connects and how its connections behave. Every
// zero field means its default, so Options{URL: url} is a sound pool.
type Options struct {
	// URL is postgres://user:password@host:port/database, one of libpq's socket
	// forms (postgres:///database?host=/dir, postgres://user@%2Fdir/database),
	// or unix://user@database/dir/.s.PGSQL.5432. As with libpq, a missing user
	// is the user of the operating system, a missing database is named like the
	// user, and sslmode is "prefer". Parameters that are not about connecting
	// become session settings.
	URL string
	// AppName is shown in pg_stat_activity; one in the URL wins.
	AppName string
	// MaxConns is the size of the pool; that many connections are also kept
	// idle, because opening one costs milliseconds.
	MaxConns int
	// PoolWait is the longest wait for a connection when all are in use, for
	// queries that bun builds; zero is as long as the context allows. See also
	// [Acquire].
	PoolWait time.Duration
	// MaxLifetime and MaxIdleTime close a connection in time for a failover or
	// a changed DNS entry to be noticed.
	MaxLifetime time.Duration
	MaxIdleTime time.Duration
	// StatementTimeout ends a statement on the server. Why: cancelling a context
	// does not, pgdriver only stops waiting.
	StatementTimeout time.Duration
	// LockTimeout ends the wait for a lock.
	LockTimeout time.Duration
	// IdleInTxTimeout ends a session that keeps a transaction open and says
	// nothing, so a frozen process cannot keep its locks.
	IdleInTxTimeout time.Duration
	// Settings are further session settings, for example enable_seqscan=off
	// for a pool that must not keep a plan made while a table was small. They
	// win over those of the URL.
	Settings map[string]string
}

// ForMigrations turns o into a pool for package migrate: a single connection,
// so the session that holds the migration lock is the one that migrates; no
// limit on how long a statement takes; and a server that notices within two
// seconds when the migrating process was killed, so its locks do not outlive
// it.
func (o Options) ForMigrations() Options {
	o.MaxConns = 1
	o.MaxLifetime, o.MaxIdleTime = NoTimeout, NoTimeout
	o.StatementTimeout = NoTimeout
	o.Settings = maps.Clone(o.Settings)
	if o.Settings == nil {
		o.Settings = map[string]string{}
	}
	o.Settings["client_connection_check_interval"] = "2s"
	return o
}

// Open makes a pool and proves it with one connection. The failures are a
// fault.Error with the code "database-url-invalid", "database-refused",
// "database-too-old" or "unavailable". The caller closes the pool.
func Open(ctx context.Context, o Options) (*bun.DB, error) {
	quiet()
	o = o.withDefaults()
	end, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(newConnector(end, o))
	pool.SetMaxOpenConns(o.MaxConns)
	pool.SetMaxIdleConns(o.MaxConns)
	pool.SetConnMaxLifetime(max(o.MaxLifetime, 0))
	pool.SetConnMaxIdleTime(max(o.MaxIdleTime, 0))
	var options []bun.DBOption
	if o.PoolWait > 0 {
		options = append(options, bun.WithConnResolver(newPatient(pool, o)))
	}
	db := bun.NewDB(pool, pgdialect.New(), options...)
	if err := checkVersion(ctx, db); err != nil {
		_ = db.Close() // the check's error is the one that matters
		return nil, err
	}
	return db, nil
}

// quiet takes pgdriver's logger away. What it prints on standard error, past our
// own log, is that a connection broke, and that comes back as an error too.
//
//nolint:gochecknoglobals // what it sets is one
var quiet = sync.OnceFunc(func() { pgdriver.Logger = silent{} })

type silent struct{}

// Printf says nothing.
func (silent) Printf(context.Context, string, ...any) {}

func (o Options) withDefaults() Options {
	or := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	or(&o.MaxLifetime, defaultMaxLifetime)
	or(&o.MaxIdleTime, defaultMaxIdleTime)
	or(&o.StatementTimeout, defaultStatementTimeout)
	or(&o.LockTimeout, defaultLockTimeout)
	or(&o.IdleInTxTimeout, defaultIdleInTxTimeout)
	if o.MaxConns <= 0 {
		o.MaxConns = defaultMaxConns
	}
	return o
}

// settings is what every new session is told, the timeouts in milliseconds.
func (o Options) settings(fromURL map[string]string) map[string]string {
	all := maps.Clone(fromURL)
	set := func(name string, d time.Duration) {
		if d > 0 {
			all[name] = strconv.FormatInt(max(d.Milliseconds(), 1), 10)
		}
	}
	set("statement_timeout", o.StatementTimeout)
	set("lock_timeout", o.LockTimeout)
	set("idle_in_transaction_session_timeout", o.IdleInTxTimeout)
	maps.Copy(all, o.Settings)
	return all
}

// readTimeout is how long a connection may stay silent; zero is for ever.
func (o Options) readTimeout() time.Duration {
	if o.StatementTimeout < 0 {
		return 0
	}
	return o.StatementTimeout + readMargin
}

func checkVersion(ctx context.Context, db *bun.DB) error {
	var version int
	const query = "SELECT current_setting('server_version_num')::int"
	if err := db.QueryRowContext(ctx, query).Scan(&version); err != nil {
		return refused(fmt.Errorf("ask for the server's version: %w", err))
	}
	if version < minVersion {
		return fault.New(fault.Unavailable, "database-too-old", fmt.Sprintf(
			"PostgreSQL %d or newer is needed, the server is version %d.",
			minVersion/10000, version/10000))
	}
	return nil
}
