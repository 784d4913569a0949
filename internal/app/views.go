package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"onepg/internal/aggregator"
	"onepg/internal/domains"
	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
)

// OpenViews gives the views of a database to a command, which nothing of the
// rest of the program has to run for. Close ends it; the database stays open.
func OpenViews(ctx context.Context, d *Database, all []domains.Constructor, logger *slog.Logger) (_ *aggregator.Runner, closeViews func() error, err error) {
	const readers = 2
	var dbs pools
	defer func() {
		if err != nil {
			err = errors.Join(err, dbs.close())
		}
	}()
	if dbs.reader, err = postgres.Open(ctx, postgres.Options{URL: d.URL, AppName: "onepg views", MaxConns: readers}); err != nil {
		return nil, nil, err
	}
	if dbs.rebuild, err = postgres.Open(ctx, d.forRebuilds()); err != nil {
		return nil, nil, err
	}
	p, err := construct(all, domains.Deps{DB: dbs.reader})
	if err != nil {
		return nil, nil, err
	}
	registry, err := eventsourcing.NewRegistry(p.events...)
	if err != nil {
		return nil, nil, fmt.Errorf("register the events: %w", err)
	}
	runner, err := aggregator.New(aggregator.Options{
		DB: dbs.reader, Rebuilder: dbs.rebuild, Reader: dbs.reader, Read: readLog, Registry: registry, Views: p.views,
		Metrics: prometheus.NewRegistry(), Logger: logger,
	})
	return runner, dbs.close, err
}
