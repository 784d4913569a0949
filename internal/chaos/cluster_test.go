//go:build fault

package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/uptrace/bun/driver/pgdriver"

	"onepg/internal/postgres/embedded"
)

// A cluster is the PostgreSQL under test: durable, ours alone, and there to be
// killed.
type cluster struct {
	options embedded.Options
	server  *embedded.Server
	admin   *sql.DB // of the database postgres
}

// startCluster runs PostgreSQL in dir. The watcher stops it when this process
// is killed.
func startCluster(ctx context.Context, dir string, watcher []string, settings map[string]string) (*cluster, error) {
	pgdriver.Logger = silent{} // that connections break is no news here
	c := &cluster{options: embedded.Options{DataDir: dir, Watcher: watcher, Settings: settings}}
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	c.admin = connect(c.direct("postgres"))
	return c, nil
}

type silent struct{}

// Printf says nothing.
func (silent) Printf(context.Context, string, ...any) {}

func (c *cluster) start(ctx context.Context) (err error) {
	c.server, err = embedded.Start(ctx, c.options)
	return err
}

func (c *cluster) close() error {
	_ = c.admin.Close()
	return c.server.Close()
}

func (c *cluster) socket() string {
	address, err := url.Parse(c.server.URL())
	if err != nil {
		return ""
	}
	return address.Query().Get("host")
}

// direct names a database past the proxy.
func (c *cluster) direct(database string) string {
	address, err := url.Parse(c.server.URL())
	if err != nil {
		return ""
	}
	address.Path = "/" + database
	return address.String()
}

// postmaster is the server's process.
func postmaster(dataDir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, "pgdata", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(first)
}

// kill ends the server: SIGKILL as a crash does, SIGINT as an administrator who
// does not wait for clients.
func (c *cluster) kill(signal syscall.Signal) error {
	pid, err := postmaster(c.options.DataDir)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, signal)
}

// restart brings a server back that is gone or about to go.
func (c *cluster) restart(ctx context.Context) error {
	if err := c.server.Close(); err != nil {
		return err
	}
	return c.start(ctx)
}

// backend waits for a process of the server that a condition on
// pg_stat_activity selects.
func (c *cluster) backend(ctx context.Context, database, where string) (pid int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err = c.admin.QueryRowContext(ctx, `SELECT pid FROM pg_stat_activity
			WHERE datname = $1 AND (`+where+`) ORDER BY backend_start DESC LIMIT 1`, database).Scan(&pid)
		if err == nil || ctx.Err() != nil {
			return pid, err
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return 0, fmt.Errorf("find a backend with %s: %w", where, err)
		}
	}
}

// pause waits, or less if the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
