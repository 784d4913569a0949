package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/auth"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/fault"
)

// record appends events in the name of the request.
func (a *App) record(ctx context.Context, events []eventsourcing.Event) ([]eventsourcing.Receipt, error) {
	for i := range events {
		events[i].Actor = auth.Actor(ctx)
	}
	return a.log.Append(ctx, events)
}

// pastLog is the log as the past is read from it. It works once the program
// runs.
type pastLog struct{ app *App }

// PositionAt asks the log.
func (p pastLog) PositionAt(ctx context.Context, moment time.Time) (position int64, reached bool, err error) {
	return p.app.log.PositionAt(ctx, moment)
}

// Existing asks the log.
func (p pastLog) Existing(ctx context.Context, q aggregator.Existing) (ids []uuid.UUID, next uuid.UUID, err error) {
	return p.app.log.Existing(ctx, eventstore.Existing(q))
}

// Version asks the log.
func (p pastLog) Version(ctx context.Context, aggregate string, id uuid.UUID) (int, error) {
	return p.app.log.Version(ctx, aggregate, id)
}

// Each reads the log and decodes what it gives.
func (p pastLog) Each(
	ctx context.Context, r aggregator.PastRange, f func(e eventsourcing.Recorded, payload any, broken error) error,
) error {
	q := eventstore.Query{
		Aggregates: []string{r.Aggregate}, AggregateIDs: r.AggregateIDs, UpTo: r.Position,
		FromVersion: r.From, UpToVersion: r.Version,
	}
	return p.app.log.Each(ctx, q, func(e eventsourcing.Recorded) error {
		newest, payload, err := p.app.registry.Read(e)
		if errors.Is(err, eventsourcing.ErrUnknown) {
			return fault.Wrap(err, fault.Unavailable, "unavailable",
				fmt.Sprintf("Event %s was recorded by a newer version of this program. Another replica may know it.", e.ID))
		}
		return f(newest, payload, err)
	})
}
