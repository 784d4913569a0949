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
	reader, err := postgres.Open(ctx, postgres.Options{URL: d.URL, AppName: "onepg views", MaxConns: readers})
	if err != nil {
		return nil, nil, err
	}
	closeViews = reader.Close
	defer func() {
		if err != nil {
			err = errors.Join(err, closeViews())
		}
	}()
	rebuilder, err := postgres.Open(ctx, d.forRebuilds())
	if err != nil {
		return nil, nil, err
	}
	closeViews = func() error { return errors.Join(rebuilder.Close(), reader.Close()) }
	var events []eventsourcing.EventType
	var views []aggregator.View
	for _, construct := range all {
		domain := construct(domains.Deps{DB: reader})
		events, views = append(events, domain.Events...), append(views, domain.Views...)
	}
	registry, err := eventsourcing.NewRegistry(events...)
	if err != nil {
		return nil, nil, fmt.Errorf("register the events: %w", err)
	}
	runner, err := aggregator.New(aggregator.Options{
		DB: reader, Rebuilder: rebuilder, Reader: reader, Read: readLog, Registry: registry, Views: views,
		Metrics: prometheus.NewRegistry(), Logger: logger,
	})
	return runner, closeViews, err
}
