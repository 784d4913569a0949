// Package aggregatortest runs views in tests: a [World] is a database with a log
// and any number of replicas, and [Subject] is a view that has to obey the laws
// every view obeys (see [Laws]).
//
// A domain's view is tested by the laws as soon as the domain is registered;
// there is nothing to write for it.
package aggregatortest

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// World is a fresh database with its log. It ends with the test.
type World struct {
	// DB is for looking at and tampering with what the replicas do.
	DB  *bun.DB
	Log *eventstore.Log
	// URL is where other programs find the database.
	URL string

	tb testing.TB

	mu       sync.Mutex
	recorded []eventsourcing.Recorded
}

// NewWorld makes a World whose log takes the events.
func NewWorld(tb testing.TB, events []eventsourcing.EventType) *World {
	tb.Helper()
	w := &World{tb: tb, URL: pgtest.New(tb)}
	w.DB = w.Open("world", 4)
	w.Log = eventstore.Open(eventstore.Options{
		Writer: w.DB, Reader: w.DB, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Recorded: func(events []eventsourcing.Recorded) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.recorded = append(w.recorded, events...)
		},
	})
	tb.Cleanup(w.Log.Close)
	if err := w.Log.Register(tb.Context(), events); err != nil {
		tb.Fatal(err)
	}
	return w
}

// Recorded is what was appended to Log so far. Replicas of this world do not hear of it
// unless a test gives it to their Recorded.
func (w *World) Recorded() []eventsourcing.Recorded {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.recorded)
}

// Misremember changes what Recorded gives.
func (w *World) Misremember(change func(*eventsourcing.Recorded)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.recorded {
		change(&w.recorded[i])
	}
}

// Open opens a pool of the given name, under which PostgreSQL lists its
// connections. Statements may take their time: tests share the machine.
func (w *World) Open(name string, conns int) *bun.DB {
	w.tb.Helper()
	db, err := postgres.Open(w.tb.Context(), postgres.Options{
		URL: w.URL, AppName: name, MaxConns: conns, StatementTimeout: time.Minute, LockTimeout: time.Minute,
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() { _ = db.Close() })
	return db
}

// Exec runs a statement that has to succeed.
func (w *World) Exec(query string, args ...any) {
	w.tb.Helper()
	if _, err := w.DB.NewRaw(query, args...).Exec(w.tb.Context()); err != nil {
		w.tb.Fatalf("%s: %v", query, err)
	}
}

// Strings gives the first column of a query, in its order.
func (w *World) Strings(query string, args ...any) []string {
	w.tb.Helper()
	var column []string
	if err := w.DB.NewRaw(query, args...).Scan(w.tb.Context(), &column); err != nil {
		w.tb.Fatalf("%s: %v", query, err)
	}
	return column
}

// Replica is what a process of the program has of views.
type Replica struct {
	// Known are the events that it knows.
	Known []eventsourcing.EventType
	Views []aggregator.View
	// DB is its pool; nil means that of the World.
	DB *bun.DB
	// Window is how many positions its batches cover; zero is the default.
	Window int
	// Alone is how long ago another one must have been seen last at a view for it to be
	// resumed; zero means that it does not matter.
	Alone time.Duration
	// Metrics and Logger may be nil.
	Metrics *prometheus.Registry
	Logger  *slog.Logger
}

// Runner makes the replica's runner. It is woken every ten milliseconds: what a
// listener does is tested elsewhere.
func (w *World) Runner(r Replica) *aggregator.Runner {
	w.tb.Helper()
	registry, err := eventsourcing.NewRegistry(r.Known...)
	if err != nil {
		w.tb.Fatal(err)
	}
	if r.DB == nil {
		r.DB = w.DB
	}
	if r.Metrics == nil {
		r.Metrics = prometheus.NewRegistry()
	}
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	runner, err := aggregator.New(aggregator.Options{
		DB: r.DB, Rebuilder: r.DB, Reader: r.DB, Registry: registry, Read: read, Views: r.Views, Wake: wake,
		Metrics: r.Metrics, Logger: r.Logger, Window: r.Window, Alone: cmp.Or(r.Alone, time.Nanosecond),
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return runner
}

// Start runs a replica until stop is called or the test ends.
func (w *World) Start(r *aggregator.Runner) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.tb.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.tb.Error(err)
		}
	})
	w.tb.Cleanup(stop)
	return stop
}

// read is how package app reads the log for views.
func read(ctx context.Context, tx bun.IDB, r aggregator.LogRange) ([]eventsourcing.Recorded, error) {
	return eventstore.ReadFrom(ctx, tx, eventstore.Query{
		After: r.After, UpTo: r.UpTo, Limit: r.Limit, PayloadBudget: r.PayloadBudget,
		Aggregate: r.Aggregate, AggregateID: r.AggregateID,
	})
}

const wakeInterval = 10 * time.Millisecond

func wake() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		tick := time.NewTicker(wakeInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				select {
				case c <- struct{}{}:
				default:
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return c, stop
}
