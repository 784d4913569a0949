package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/uptrace/bun/driver/pgdriver"
)

// database is the one the program uses.
const database = "onepg"

// An address says where a server is, by its own account. Why not computed: who
// launched it may have another directory for temporary files than we have.
type address struct {
	pid    int
	socket string
}

// address reads postmaster.pid. It fails while the server has not written all
// of it yet.
func (c *cluster) address() (address, error) {
	text, err := os.ReadFile(c.path(pgdataName, "postmaster.pid"))
	if err != nil {
		return address{}, fmt.Errorf("read postmaster.pid: %w", err)
	}
	// The lines are: pid, data directory, start time, port, socket directory, …
	lines := strings.Split(string(text), "\n")
	if len(lines) < 6 || lines[4] == "" {
		return address{}, errors.New("the server has no socket yet")
	}
	pid, err := strconv.Atoi(lines[0])
	if err != nil {
		return address{}, fmt.Errorf("read postmaster.pid: %w", err)
	}
	return address{pid: pid, socket: filepath.Join(lines[4], ".s.PGSQL."+lines[3])}, nil
}

// url gives the form that pgdriver wants: host is the socket itself, not its
// directory as in libpq.
func (a address) url(name string) string {
	query := url.Values{"host": {a.socket}, "sslmode": {"disable"}}
	address := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + name, RawQuery: query.Encode()}
	return address.String()
}

func (a address) open(name string) *sql.DB {
	return sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(a.url(name)), pgdriver.WithTimeout(10*time.Second)))
}

// ping fails unless the server takes connections.
func (a address) ping(ctx context.Context) error {
	db := a.open(superuser)
	return errors.Join(db.PingContext(ctx), db.Close())
}

// createDatabase makes the program's database if it is missing. The caller
// holds start.lock, so two do not try at once.
func (a address) createDatabase(ctx context.Context) error {
	db := a.open(superuser)
	var exists bool
	err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database).Scan(&exists)
	if err == nil && !exists {
		_, err = db.ExecContext(ctx, "CREATE DATABASE "+database)
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("create the database %s: %w", database, err)
	}
	return nil
}

// signal reports whether it could be sent. The file that named the process may
// be older than the process, so one that works elsewhere is left alone.
func (a address) signal(ctx context.Context, pgdata string, signal syscall.Signal) bool {
	if works, known := worksIn(ctx, a.pid, pgdata); known && !works {
		return false
	}
	return syscall.Kill(a.pid, signal) == nil
}
