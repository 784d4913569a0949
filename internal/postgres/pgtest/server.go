package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/uptrace/bun/driver/pgdriver"

	"onepg/internal/postgres/embedded"
)

// testPrefix begins the name of every test's database.
const testPrefix = "onepg_test_"

// A server is where databases are made. It opens a connection for each task
// and closes it again: a pool would keep goroutines, in tests that look for
// leaked ones.
type server struct {
	admin *url.URL
	// cluster keeps our use of the embedded cluster, and with it its lock, from
	// being collected. It is nil for a server of somebody else.
	cluster *embedded.Server
}

// database gives the URL of another database of the server.
func (s *server) database(name string) string {
	other := *s.admin
	other.Path = "/" + name
	return other.String()
}

// Why a minute: a drop or a copy waits for the disk and for others' locks.
func openDB(address string) *sql.DB {
	return sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(address), pgdriver.WithTimeout(time.Minute)))
}

// with runs f on one connection to the maintenance database.
func (s *server) with(ctx context.Context, f func(*sql.Conn) error) error {
	db := openDB(s.admin.String())
	conn, err := db.Conn(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("connect to PostgreSQL: %w", err), db.Close())
	}
	return errors.Join(f(conn), conn.Close(), db.Close())
}

func (s *server) execute(ctx context.Context, statements ...string) error {
	return s.with(ctx, func(conn *sql.Conn) error { return execute(ctx, conn, statements...) })
}

func execute(ctx context.Context, conn *sql.Conn, statements ...string) error {
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// lend gives the database's URL and drops it after the test. Why FORCE: what a
// test has left open is not this package's to report.
func (s *server) lend(tb testing.TB, name string) string {
	tb.Helper()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), dropTimeout)
		defer cancel()
		if err := s.execute(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	return s.database(name)
}

// sweep drops the databases of test processes that died before they could. It
// is for the embedded cluster only, where a process id means something.
func (s *server) sweep(ctx context.Context) error {
	return s.with(ctx, func(conn *sql.Conn) error {
		names, err := databases(ctx, conn, testPrefix)
		if err != nil {
			return err
		}
		for _, name := range names {
			owner, _, _ := strings.Cut(strings.TrimPrefix(name, testPrefix), "_")
			pid, err := strconv.Atoi(owner)
			if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				continue
			}
			if err = execute(ctx, conn, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
				return err
			}
		}
		return nil
	})
}

// databases lists those whose name begins with the prefix, newest first.
func databases(ctx context.Context, conn *sql.Conn, prefix string) (names []string, err error) {
	rows, err := conn.QueryContext(ctx,
		"SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY oid DESC", prefix)
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err = rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list databases: %w", err)
		}
		names = append(names, name)
	}
	if err = rows.Err(); err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	return names, nil
}
