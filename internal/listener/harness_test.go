package listener

import (
	"context"
	"database/sql"
	"fmt"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/driver/pgdriver"
	"go.uber.org/goleak"
)

const (
	never   = time.Hour        // an interval that takes the timer out of a test
	patient = 20 * time.Second // twice what we promise, for a machine that is busy

	nowhere = "postgres://nobody@127.0.0.1:1/none?sslmode=disable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// prepare makes a listener with its own pool on the database at url.
func prepare(t *testing.T, url string, options Options) *Listener {
	t.Helper()
	options.DB = open(t, url, pgdriver.WithApplicationName("listener"))
	return New(options)
}

// start runs a listener until the test ends.
func start(t *testing.T, url string, options Options) *Listener {
	t.Helper()
	l := prepare(t, url, options)
	t.Cleanup(run(t, l))
	return l
}

// run runs l in the background; stop ends it and fails the test if that takes
// long or Run has an error.
func run(t *testing.T, l *Listener) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(connectTimeout + time.Second):
			t.Errorf("Run goes on long after its context ended; then: %v", <-done)
		}
	}
}

// background runs f and gives a function that waits for its end.
func background(f func()) (wait func()) {
	var group sync.WaitGroup
	group.Go(f)
	return group.Wait
}

func (l *Listener) listening() bool { return l.Status().Mode == Listening }

func open(t *testing.T, url string, options ...pgdriver.Option) *bun.DB {
	t.Helper()
	options = append([]pgdriver.Option{pgdriver.WithConfig(target(url))}, options...)
	db := bun.NewDB(sql.OpenDB(pgdriver.NewConnector(options...)), pgdialect.New())
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// target reads a URL of a test database, also in libpq's form for a socket,
// which names the directory.
func target(url string) *pgdriver.Config {
	config := pgdriver.NewConnector(pgdriver.WithDSN(url)).Config()
	if config.Network == "unix" {
		config.TLSConfig = nil
		if !strings.HasPrefix(path.Base(config.Addr), ".s.PGSQL.") {
			config.Addr = path.Join(config.Addr, ".s.PGSQL.5432")
		}
	}
	return config
}

func exec(t *testing.T, db *bun.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Errorf("%s: %v", query, err)
	}
}

func notify(t *testing.T, db *bun.DB, channel, payload string) {
	t.Helper()
	exec(t, db, "SELECT pg_notify(?, ?)", channel, payload)
}

// payload is what the trigger says of a new event at the position.
func payload(position int64) string {
	return fmt.Sprintf("%s,%d,%s", uuid.New(), position, uuid.New())
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.After(patient)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatal("did not happen in time")
		case <-tick.C:
		}
	}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patient):
		t.Fatal("nothing came in time")
		panic("unreachable")
	}
}

// drain takes the wake of the first connect, which proved sends before it
// lets Status say Listening.
func drain(s *Subscription) {
	select {
	case <-s.C():
	default:
	}
}
