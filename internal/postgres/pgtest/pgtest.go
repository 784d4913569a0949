// Package pgtest gives each test a PostgreSQL database of its own, so that
// tests run in parallel against the real thing: LISTEN, advisory locks and
// positions are per database.
//
// All test processes of one user share one embedded cluster below
// [os.TempDir]. The first to come starts it, which takes about two seconds
// including initdb. It stays when they end, so that the next package need not
// start it again, and costs some idle processes and 50 MB; [Stop], that is
// `go run ./internal/postgres/pgtest/stop`, ends it. Nothing in it is durable:
// after a crash of the machine, delete the directory.
//
// The schema is applied once, to a template, and copied for each test. The
// template's name contains a hash of the migrations, so that a changed
// migration makes a new one, and worktrees with different migrations do not
// disturb each other.
//
// With APP_TEST_DATABASE_URL set to a superuser's URL, that server is used
// instead. Without any server tests fail and say what to do; they never skip.
package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"onepg/internal/postgres/embedded"
)

// dropTimeout bounds the cleanup of a test.
const dropTimeout = 30 * time.Second

// New gives the URL of a fresh database with all migrations applied. It is
// dropped after the test, whoever is still connected.
func New(tb testing.TB) string {
	tb.Helper()
	s := connect(tb)
	name := newName()
	if err := s.clone(tb.Context(), name); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	return s.lend(tb, name)
}

// Empty gives the URL of a fresh database without the schema, for tests of the
// migrations themselves. It is dropped after the test like New's.
func Empty(tb testing.TB) string {
	tb.Helper()
	s := connect(tb)
	name := newName()
	// Why template0: nobody can be connected to it, which would refuse the copy.
	if err := s.execute(tb.Context(), "CREATE DATABASE "+name+" TEMPLATE template0 STRATEGY FILE_COPY"); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	return s.lend(tb, name)
}

// Stop stops the shared cluster. It fails while a test process uses it, and
// does nothing where none was started.
func Stop(ctx context.Context) error {
	return embedded.Stop(ctx, clusterDir()) // It says what it is about.
}

func connect(tb testing.TB) *server {
	tb.Helper()
	s, err := shared()
	if err != nil {
		tb.Fatalf("pgtest: a test needs PostgreSQL: %v", err)
	}
	return s
}

// shared is the server of this process. Why a global: one use of the cluster
// that ends with the process, instead of one for each of thousands of tests.
var shared = sync.OnceValues(open) //nolint:gochecknoglobals // See above.

func open() (*server, error) {
	ctx := context.Background()
	if address := os.Getenv("APP_TEST_DATABASE_URL"); address != "" { //nolint:forbidigo // Of tests alone; the program knows nothing of it.
		parsed, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("APP_TEST_DATABASE_URL: %w", err)
		}
		return &server{admin: parsed}, nil
	}
	dir := clusterDir()
	if err := ensurePrivate(dir); err != nil {
		return nil, err
	}
	cluster, err := embedded.Start(ctx, embedded.Options{DataDir: dir, Settings: settings()})
	if err != nil {
		return nil, fmt.Errorf("start the cluster for tests: %w", err)
	}
	parsed, err := url.Parse(cluster.URL())
	if err != nil {
		return nil, fmt.Errorf("start the cluster for tests: %w", err)
	}
	s := &server{admin: parsed, cluster: cluster}
	return s, s.sweep(ctx)
}

// settings trade durability for speed, and allow for many tests at once.
func settings() map[string]string {
	return map[string]string{
		"fsync":              "off",
		"synchronous_commit": "off",
		"full_page_writes":   "off",
		"max_connections":    "300",
		// Why: each copied database makes two, which would fill the log.
		"log_checkpoints": "off",
		// Why: a directory for temporary files is often small, or memory.
		"min_wal_size": "32MB",
		"max_wal_size": "256MB",
	}
}

func clusterDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("onepg-test-%d", os.Geteuid()))
}

// ensurePrivate makes the directory, or refuses one that another user has made
// there first and could put files into.
func ensurePrivate(dir string) error {
	err := os.Mkdir(dir, 0o711) //nolint:gosec // The server's user has to pass through.
	if err != nil && !os.IsExist(err) {
		return fmt.Errorf("make the directory for tests: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the directory for tests: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that only uid %d can write to; remove it", dir, os.Geteuid())
	}
	return nil
}

// newName contains our process id, by which databases of dead processes are
// found; see sweep.
func newName() string {
	return fmt.Sprintf("%s%d_%s", testPrefix, os.Getpid(), strings.ToLower(rand.Text()))
}
