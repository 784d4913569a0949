package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"

	"onepg/internal/aggregator"
	"onepg/internal/config"
	"onepg/internal/domains"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/fault"
	"onepg/internal/httpapi"
	"onepg/internal/listener"
	"onepg/internal/postgres"
	"onepg/internal/verify"
)

// Tools are the parts of the program that commands on the log work with. They
// need no server, and one may run beside them.
type Tools struct {
	// DB is patient: its statements have no time limit, its transactions may wait
	// for a pipe.
	DB  *bun.DB
	Log *eventstore.Log
	// Registry knows the events of all domains, Views and Models are theirs.
	Registry *eventsourcing.Registry
	Views    []aggregator.View
	Models   []eventsourcing.Model
	// ReadEvents reads events from JSON text and holds them to the same rules as
	// the append routes, which share it.
	ReadEvents func(body []byte) ([]eventsourcing.Event, error)

	config   *config.Config
	database *Database
	logger   *slog.Logger
}

// OpenTools opens the tools on a database that is migrated; one that is not is
// a fault. Close ends them; the database stays open.
func OpenTools(ctx context.Context, d *Database, c *config.Config, all []domains.Constructor, logger *slog.Logger) (_ *Tools, err error) {
	if err := d.insistOnMigrations(ctx); err != nil {
		return nil, err
	}
	t := &Tools{config: c, database: d, logger: logger}
	t.DB, err = postgres.Open(ctx, postgres.Options{
		URL: d.URL, AppName: "onepg tools", MaxConns: 4, LockTimeout: c.Database.LockTimeout,
		StatementTimeout: postgres.NoTimeout, IdleInTxTimeout: postgres.NoTimeout,
	})
	if err != nil {
		return nil, err
	}
	t.Log = eventstore.Open(eventstore.Options{Writer: t.DB, Reader: t.DB, Metrics: prometheus.NewRegistry(), Logger: logger})
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	p, err := construct(all, domains.Deps{DB: t.DB})
	if err != nil {
		return nil, err
	}
	t.Views = p.views
	for _, domain := range p.domains {
		t.Models = append(t.Models, domain.Models...)
	}
	if t.Registry, err = eventsourcing.NewRegistry(p.events...); err != nil {
		return nil, fmt.Errorf("register the events: %w", err)
	}
	t.ReadEvents, err = httpapi.EventReader(eventLimits(c), p.events)
	return t, err
}

// Close ends the tools.
func (t *Tools) Close() error {
	t.Log.Close()
	return t.DB.Close() //nolint:wrapcheck // it is the last word on that pool
}

// Register tells the database which events this program appends. It is needed
// before the first append or import.
func (t *Tools) Register(ctx context.Context) error {
	return t.Log.Register(ctx, t.Registry.Types())
}

// Verify verifies the database; what to look at is taken from o.
func (t *Tools) Verify(ctx context.Context, o verify.Options) (*verify.Report, error) {
	o.DB, o.Registry, o.Views, o.Models = t.DB, t.Registry, t.Views, t.Models
	return verify.Run(ctx, o)
}

// Export writes the log; see eventstore.Export.
func (t *Tools) Export(ctx context.Context, w io.Writer, q eventstore.Query, o eventstore.ExportOptions) (int64, error) {
	return eventstore.Export(ctx, t.DB, w, q, o)
}

// Import takes over what Export wrote; see eventstore.Import.
func (t *Tools) Import(ctx context.Context, r io.Reader) (eventstore.Imported, error) {
	if err := t.Register(ctx); err != nil {
		return eventstore.Imported{}, err
	}
	return eventstore.Import(ctx, t.DB, r)
}

// SealAll seals what is not sealed yet.
func (t *Tools) SealAll(ctx context.Context) error { return eventstore.SealAll(ctx, t.DB) }

// Seal gives the newest seal; a fault.NotFound if there is none.
func (t *Tools) Seal(ctx context.Context) (eventstore.Seal, error) {
	seal, ok, err := eventstore.NewestSeal(ctx, t.DB)
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "not-sealed", "Nothing is sealed yet. A server seals an event a minute after it was recorded; --all seals at once.")
	}
	return seal, err
}

const (
	// followPage is how many events Follow reads at once.
	followPage = 500
	// followRetry is the pause after a failed read, so that a restarting server
	// is not asked all the time.
	followRetry = 250 * time.Millisecond
)

// Follow calls f with the query's events, those that are there and those to
// come, in the order of positions and each once. It ends with ctx, without an
// error, or with the first error of f. While the database is away it waits and
// then goes on where it was.
func (t *Tools) Follow(ctx context.Context, q eventstore.Query, f func(eventsourcing.Recorded) error) error {
	listen, err := postgres.Open(ctx, postgres.Options{URL: t.database.ListenURL, AppName: "onepg tail", MaxConns: listenConns})
	if err != nil {
		return err
	}
	defer func() { _ = listen.Close() }() // nothing is pending on it
	ctx, stop := context.WithCancel(ctx)
	l := listener.New(listener.Options{DB: listen, Interval: t.config.PollInterval, Logger: t.logger})
	woken := l.Subscribe()
	defer woken.Close()
	done := make(chan error, 2)
	go func() { done <- l.Run(ctx) }()
	go func() { t.database.Supervise(ctx); done <- nil }()
	defer func() { stop(); <-done; <-done }() //nolint:errcheck // both end with ctx and nothing else
	for ctx.Err() == nil {
		wake := woken.C()
		switch more, err := t.readOn(ctx, &q, f); {
		case more:
			continue
		case fault.Is(err, "unavailable"):
			if ctx.Err() == nil {
				t.logger.WarnContext(ctx, "the database is away, waiting for it", slog.Any("error", err))
			}
			wake = nil
		case err != nil:
			return err
		}
		waitFor(ctx, wake)
	}
	return nil
}

// waitFor waits to be woken, or for a moment if nobody wakes.
func waitFor(ctx context.Context, wake <-chan struct{}) {
	var moment <-chan time.Time
	if wake == nil {
		timer := time.NewTimer(followRetry)
		defer timer.Stop()
		moment = timer.C
	}
	select {
	case <-wake:
	case <-moment:
	case <-ctx.Done():
	}
}

// readOn hands over the next events and moves the query past them. It reports
// whether there is more at once.
func (t *Tools) readOn(ctx context.Context, q *eventstore.Query, f func(eventsourcing.Recorded) error) (more bool, err error) {
	head, err := t.Log.Head(ctx)
	if err != nil || head <= q.After {
		return false, err
	}
	page := *q
	page.UpTo, page.Limit = min(head, q.After+followPage), followPage
	events, err := t.Log.Read(ctx, page)
	if err != nil {
		return false, err
	}
	for _, e := range events {
		if err := f(e); err != nil {
			return false, err
		}
		q.After = e.Position
	}
	q.After = page.UpTo
	return page.UpTo < head, nil
}
