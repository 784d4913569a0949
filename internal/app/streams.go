package app

import (
	"context"
	"fmt"
	"slices"

	"onepg/internal/aggregator"
	"onepg/internal/domains"
	"onepg/internal/tail"
)

// stream makes what follows the log and the views for clients, and its routes.
func (a *App) stream(p parts) error {
	metrics := tail.NewMetrics(a.metrics)
	broadcast := func(name string, source tail.Source) *tail.Broadcast {
		b := tail.New(tail.Options{
			Name: name, Source: source, Buffer: a.options.Config.Limits.StreamBuffer,
			Clock: now, Metrics: metrics, Logger: a.logger,
		})
		a.streams = append(a.streams, b)
		return b
	}
	a.events = broadcast("events", tail.NewEvents(logReader{a.log, a.registry}, a.registry, a.listener.Subscribe().C()))
	a.api.EventStream(a.events)
	for _, d := range p.domains {
		if d.Stream.View == "" {
			continue
		}
		i := slices.IndexFunc(d.Views, func(v aggregator.View) bool { return v.Name == d.Stream.View })
		if i < 0 {
			return fmt.Errorf("domain %s streams the view %s, which is not one of its own", d.Name, d.Stream.View)
		}
		rows := broadcast(d.Name, tail.NewRows(a.rows(d.Views[i], d.Stream)))
		a.api.Group(d.Name).RowStream(rows, d.Stream.Row)
	}
	return nil
}

// rows is a view as its stream reads it.
func (a *App) rows(v aggregator.View, s domains.Stream) tail.View {
	db := a.pools.reader
	return tail.View{
		Position: func(ctx context.Context) (int64, error) { return a.views.Position(ctx, v) },
		Changes: func(ctx context.Context, after, upTo int64) ([]tail.Change, error) {
			found, err := v.Changes(ctx, db, after, upTo)
			changes := make([]tail.Change, len(found))
			for i, c := range found {
				changes[i] = tail.Change{AggregateID: c.AggregateID, Position: c.Position, RecordedAt: c.RecordedAt.Time}
			}
			return changes, err
		},
		Rows: s.Rows,
		Wait: func(ctx context.Context, position int64) { a.views.WaitPosition(ctx, []string{v.Name}, position) },
	}
}
