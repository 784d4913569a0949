// Package app puts the program together: it is the only place that knows all
// parts, and where each is started and stopped.
//
// Start order is the way of the data backwards: database, migrations, log,
// listener, views, and the HTTP server last, so that nothing is accepted that
// cannot be handled. Stopping goes the other way round: the server refuses new
// requests and finishes those in flight, the log answers what is queued, the
// views finish their batch, and the database goes last. Killed at any point,
// the next start carries on from what is committed.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"onepg/internal/aggregator"
	"onepg/internal/auth"
	"onepg/internal/config"
	"onepg/internal/domains"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/httpapi"
	"onepg/internal/listener"
	"onepg/internal/tail"
)

// Options are what the program is made of.
type Options struct {
	Config  *config.Config
	Domains []domains.Constructor
	Logger  *slog.Logger
	Version string
	// Watcher is the command that stops the embedded database when this
	// process is killed; see package embedded.
	Watcher []string
}

// App is the running program.
type App struct {
	options  Options
	logger   *slog.Logger
	metrics  *prometheus.Registry
	database *Database
	pools    pools
	registry *eventsourcing.Registry
	log      *eventstore.Log
	sealer   *eventstore.Sealer
	listener *listener.Listener
	views    *aggregator.Runner
	guard    *auth.Guard
	streams  []*tail.Broadcast
	events   *tail.Broadcast // one of streams: the log
	api      *httpapi.API
	socket   net.Listener
	ops      net.Listener // nil when /metrics is part of the API
}

// Start makes everything ready to serve and opens the sockets. Requests wait
// in them until Run. The caller runs or closes what Start returns.
func Start(ctx context.Context, o Options) (_ *App, err error) {
	a := &App{options: o, logger: o.Logger, metrics: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if ignored := o.Config.Ignored; len(ignored) > 0 {
		a.logger.WarnContext(ctx, "environment variables that are no settings are ignored; app config show lists those that are", slog.Any("names", ignored))
	}
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if a.database, err = OpenDatabase(ctx, o.Config, o.Logger, o.Watcher); err != nil {
		return a, err
	}
	if err = a.database.prepare(ctx, o.Config, o.Logger); err != nil {
		return a, err
	}
	if err = a.build(ctx); err != nil {
		return a, err
	}
	return a, a.open(ctx)
}

// build makes the parts, from the log to the routes.
func (a *App) build(ctx context.Context) error {
	var err error
	if a.pools, err = openPools(ctx, a.options.Config, a.database); err != nil {
		return err
	}
	a.pools.measure(a.metrics)
	a.log = eventstore.Open(eventstore.Options{
		Writer: a.pools.writer, Reader: a.pools.reader, Metrics: a.metrics, Logger: a.logger,
		// Why a func: the views are made later, before any request.
		Recorded: func(events []eventsourcing.Recorded) { a.views.Recorded(events) },
	})
	parts, err := a.assemble()
	if err != nil {
		return err
	}
	a.pools.fit(len(parts.views))
	if a.registry, err = eventsourcing.NewRegistry(parts.events...); err != nil {
		return fmt.Errorf("register the events: %w", err)
	}
	if err := a.log.Check(ctx, a.registry); err != nil {
		return err
	}
	if err := a.log.Register(ctx, a.registry.Types()); err != nil {
		return err
	}
	a.sealer = eventstore.NewSealer(eventstore.SealerOptions{DB: a.pools.reader, Metrics: a.metrics, Logger: a.logger})
	a.listen()
	if a.views, err = aggregator.New(aggregator.Options{
		DB: a.pools.views, Rebuilder: a.pools.rebuild, Reader: a.pools.reader, Read: readLog, Registry: a.registry, Views: parts.views,
		Wake: a.wake, Metrics: a.metrics, Logger: a.logger,
	}); err != nil {
		return fmt.Errorf("prepare the views: %w", err)
	}
	if a.guard, err = a.protect(ctx); err != nil {
		return err
	}
	a.measure()
	return a.routes(parts)
}

func (a *App) listen() {
	a.listener = listener.New(listener.Options{
		DB: a.pools.listen, Channels: []string{viewsUpdated, auth.KeysChanged},
		Interval: a.options.Config.PollInterval, Logger: a.logger,
	})
}

// open takes the addresses, so that a taken one fails the start.
func (a *App) open(ctx context.Context) error {
	var lc net.ListenConfig
	var err error
	if a.socket, err = lc.Listen(ctx, "tcp", a.options.Config.Addr); err != nil {
		return fmt.Errorf("listen on APP_ADDR %s: %w", a.options.Config.Addr, err)
	}
	if a.options.Config.OpsAddr == "" {
		return nil
	}
	if a.ops, err = lc.Listen(ctx, "tcp", a.options.Config.OpsAddr); err != nil {
		return fmt.Errorf("listen on APP_OPS_ADDR %s: %w", a.options.Config.OpsAddr, err)
	}
	return nil
}

// URL is where the API answers; where it listens on every address, one of them.
func (a *App) URL() string { return urlOf(a.socket) }

// OpsURL is where /metrics is served, which is the API unless APP_OPS_ADDR says
// otherwise.
func (a *App) OpsURL() string {
	if a.ops == nil {
		return a.URL()
	}
	return urlOf(a.ops)
}

func urlOf(socket net.Listener) string {
	address := socket.Addr().String()
	if tcp, ok := socket.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		address = net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return "http://" + address
}

// Run serves until ctx ends, then stops in order and returns nil. An error is a
// part that failed beyond what it can mend itself.
func (a *App) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	parts, background := errgroup.WithContext(background)
	parts.Go(func() error { return a.listener.Run(background) })
	parts.Go(func() error { return a.views.Run(background) })
	parts.Go(func() error { return a.sealer.Run(background) })
	parts.Go(func() error { return a.relay(background, viewsUpdated, a.views.Heard) })
	parts.Go(func() error { return a.relay(background, auth.KeysChanged, func(string) { a.guard.Forget() }) })
	for _, s := range a.streams {
		parts.Go(func() error { return s.Run(background) })
	}
	parts.Go(func() error {
		a.guard.Run(background)
		return nil
	})
	parts.Go(func() error {
		a.database.Supervise(background)
		return nil
	})
	serving, ctx := errgroup.WithContext(ctx)
	serving.Go(func() error { return a.api.Serve(ctx, a.socket) })
	serving.Go(func() error { return a.serveOps(ctx) })
	serving.Go(func() error {
		select {
		case <-background.Done():
			return context.Cause(background)
		case <-ctx.Done():
			return nil
		}
	})
	err := serving.Wait()
	stop()
	return errors.Join(err, parts.Wait(), a.Close())
}

// Close gives back what Start took. Run does it itself.
func (a *App) Close() error {
	if a.socket != nil {
		_ = a.socket.Close() // the server closed it already
	}
	if a.log != nil {
		a.log.Close()
	}
	err := a.pools.close()
	if a.database != nil {
		err = errors.Join(err, a.database.Close())
		a.database = nil
	}
	return err
}

// serveOps serves metrics and profiles on their own address, if there is one.
func (a *App) serveOps(ctx context.Context) error {
	if a.ops == nil {
		return nil
	}
	server := &http.Server{Handler: a.api.OpsHandler(), ReadHeaderTimeout: a.options.Config.Limits.HeaderTimeout}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })() // nothing is in flight that matters
	if err := server.Serve(a.ops); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

// readyTimeout bounds the look at the database behind /readyz.
const readyTimeout = 2 * time.Second

// ready says what keeps the program from serving.
func (a *App) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	_, err := a.log.Head(ctx)
	return err
}

// now is the program's clock: the one place that reads it.
func now() time.Time { return time.Now() } //nolint:forbidigo // the edge that hands the clock out
