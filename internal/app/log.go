package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/aggregator"
	"onepg/internal/auth"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/fault"
	"onepg/internal/httpapi"
	"onepg/internal/tail"
)

// record appends events in the name of the request.
func (a *App) record(ctx context.Context, events []eventsourcing.Event) ([]eventsourcing.Receipt, error) {
	actor := auth.Actor(ctx)
	for i := range events {
		events[i].Actor = actor
	}
	return a.log.Append(ctx, events)
}

// readLog is how views read the log, inside their own transaction.
func readLog(ctx context.Context, tx bun.IDB, r aggregator.LogRange) ([]eventsourcing.Recorded, error) {
	return eventstore.ReadFrom(ctx, tx, eventstore.Query{
		After: r.After, UpTo: r.UpTo, Limit: r.Limit, PayloadBudget: r.PayloadBudget,
		Aggregate: r.Aggregate, AggregateID: r.AggregateID,
	})
}

// logReader is the log as the HTTP routes see it: old events come out in their
// newest schema versions.
type logReader struct {
	*eventstore.Log

	registry *eventsourcing.Registry
}

// Stretch reads one page of the log for a stream.
func (l logReader) Stretch(ctx context.Context, s tail.Stretch) ([]eventsourcing.Recorded, error) {
	return l.Read(ctx, eventstore.Query{
		After: s.After, UpTo: s.UpTo, Limit: s.Limit, Aggregate: s.Filter.Aggregate,
		AggregateID: s.Filter.AggregateID, Name: s.Filter.Name, CorrelationID: s.Filter.CorrelationID,
	})
}

// Page reads one page of the log.
func (l logReader) Page(ctx context.Context, f httpapi.LogFilter, limit int) ([]eventsourcing.Recorded, error) {
	events, err := l.Read(ctx, eventstore.Query{
		After: f.After, Limit: limit, Aggregate: f.Aggregate,
		AggregateID: f.AggregateID, Name: f.Name, CorrelationID: f.CorrelationID,
	})
	for i := range events {
		events[i] = l.newest(events[i])
	}
	return events, err
}

// Event reads one event.
func (l logReader) Event(ctx context.Context, id uuid.UUID) (eventsourcing.Recorded, bool, error) {
	e, found, err := l.Log.Event(ctx, id)
	return l.newest(e), found, err
}

// newest is the event in its newest schema version. One that cannot be lifted
// here, because a newer program recorded it, is shown as it is.
func (l logReader) newest(e eventsourcing.Recorded) eventsourcing.Recorded {
	e, _ = l.registry.Upcast(e)
	return e
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
		Aggregate: r.Aggregate, AggregateIDs: r.AggregateIDs, UpTo: r.Position,
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
