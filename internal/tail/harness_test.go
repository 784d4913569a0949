package tail_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/pflag"
	"github.com/uptrace/bun"
	"go.uber.org/goleak"

	"onepg/internal/app"
	"onepg/internal/config"
	"onepg/internal/domains"
	"onepg/internal/domains/users"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// patience is how long a test waits for what should come at once.
const patience = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// replica is the whole program on a database of its own.
type replica struct {
	tb       testing.TB
	url      string
	database string
	stop     context.CancelFunc
	done     chan error
	http     *http.Client
}

// start runs the program with the flags until the test ends.
func start(tb testing.TB, flags ...string) *replica {
	tb.Helper()
	return startOn(tb, pgtest.New(tb), flags...)
}

// startOn runs another replica on a database.
func startOn(tb testing.TB, database string, flags ...string) *replica {
	tb.Helper()
	set := pflag.NewFlagSet("app", pflag.ContinueOnError)
	config.Flags(set)
	if err := set.Parse(append([]string{"--addr=127.0.0.1:0", "--database-url=" + database}, flags...)); err != nil {
		tb.Fatal(err)
	}
	settings, err := config.Load(set)
	if err != nil {
		tb.Fatal(err)
	}
	a, err := app.Start(tb.Context(), app.Options{
		Config: settings, Domains: []domains.Constructor{users.New}, Version: "test",
		Logger: slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	r := &replica{tb: tb, url: a.URL(), database: database, stop: stop, done: make(chan error, 1), http: &http.Client{Transport: transport}}
	go func() { r.done <- a.Run(ctx) }()
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		r.shutdown()
	})
	return r
}

// shutdown stops the program and returns how long that took.
func (r *replica) shutdown() time.Duration {
	r.tb.Helper()
	began := time.Now()
	r.stop()
	select {
	case err := <-r.done:
		r.done <- nil // for the next call
		if err != nil {
			r.tb.Errorf("the program failed: %v", err)
		}
	case <-time.After(patience):
		r.tb.Error("the program does not stop")
	}
	return time.Since(began)
}

func (r *replica) db() *bun.DB {
	r.tb.Helper()
	db, err := postgres.Open(r.tb.Context(), postgres.Options{URL: r.database, MaxConns: 2})
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { _ = db.Close() })
	return db
}

func (r *replica) exec(query string, args ...any) {
	r.tb.Helper()
	if _, err := r.db().ExecContext(r.tb.Context(), query, args...); err != nil {
		r.tb.Fatal(err)
	}
}

// event is what a client posts.
type event struct {
	ID          uuid.UUID         `json:"id"`
	AggregateID uuid.UUID         `json:"aggregate_id"`
	Name        string            `json:"name"`
	Payload     map[string]string `json:"payload"`
}

func created(id uuid.UUID) event {
	return event{uuid.New(), id, "user.created", map[string]string{"name": "Ada", "email": "ada@example.com"}}
}

func renamed(id uuid.UUID, name string) event {
	return event{uuid.New(), id, "user.updated", map[string]string{"name": name}}
}

func deleted(id uuid.UUID) event {
	return event{uuid.New(), id, "user.deleted", map[string]string{}}
}

// someone is n users that were just created.
func someone(n int) []event {
	events := make([]event, n)
	for i := range events {
		events[i] = created(uuid.New())
	}
	return events
}

// append posts the events and gives the position of the last one.
func (r *replica) append(events ...event) int64 {
	r.tb.Helper()
	position, err := r.tryAppend(events...)
	if err != nil {
		r.tb.Fatal(err)
	}
	return position
}

func (r *replica) tryAppend(events ...event) (int64, error) {
	body, err := json.Marshal(events)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(r.tb.Context(), http.MethodPost, r.url+"/v1/users/events", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := r.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var receipts struct {
		Events []struct {
			Position int64 `json:"position"`
		} `json:"events"`
	}
	if err := json.NewDecoder(res.Body).Decode(&receipts); err != nil || res.StatusCode != http.StatusCreated {
		return 0, fmt.Errorf("append: %s: %w", res.Status, err)
	}
	return receipts.Events[len(receipts.Events)-1].Position, nil
}

// get reads a path as text.
func (r *replica) get(path string) (int, string) {
	r.tb.Helper()
	req, err := http.NewRequestWithContext(r.tb.Context(), http.MethodGet, r.url+path, http.NoBody)
	if err != nil {
		r.tb.Fatal(err)
	}
	res, err := r.http.Do(req)
	if err != nil {
		r.tb.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.tb.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// metric is the value of a series, as /metrics writes it.
func (r *replica) metric(series string) float64 {
	r.tb.Helper()
	_, text := r.get("/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), series+" "); ok {
			number, err := strconv.ParseFloat(value, 64)
			if err != nil {
				r.tb.Fatal(err)
			}
			return number
		}
	}
	r.tb.Fatalf("there is no series %s", series)
	return 0
}

// eventually polls until ok.
func (r *replica) eventually(what string, ok func() bool) {
	r.tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			r.tb.Fatalf("never: %s", what)
		}
	}
}
