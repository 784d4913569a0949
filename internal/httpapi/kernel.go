package httpapi

import (
	"context"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// LogReader is how the routes of the log read it.
type LogReader interface {
	// Page gives at most limit events in the order of their positions.
	Page(ctx context.Context, f LogFilter, limit int) ([]eventsourcing.Recorded, error)
	// Event gives the event with this id and reports whether there is one.
	Event(ctx context.Context, id uuid.UUID) (eventsourcing.Recorded, bool, error)
}

// LogFilter selects events; a zero field is no condition.
type LogFilter struct {
	After       int64 // positions greater than this
	Aggregate   string
	AggregateID uuid.UUID
	Name        string
	// CorrelationID is metadata.correlation_id.
	CorrelationID string
}

// Events registers the routes that read the log.
func (a *API) Events(log LogReader) {
	g := a.Group("events")
	Get(g, Operation{
		Path: "", ID: "list-events", Scope: "events:read", Summary: "Read the log",
		Description: "Events in the order of their positions, which have no gaps and never change. Read on with after.",
	}, func(ctx context.Context, in *logInput) (*logPage, error) { return in.read(ctx, log) })
	Get(g, Operation{
		Path: "/{id}", ID: "get-event", Scope: "events:read", Summary: "One event",
		Problems: []Refusal{{fault.NotFound, "not-found"}},
	}, func(ctx context.Context, in *eventInput) (*eventOutput, error) {
		e, found, err := log.Event(ctx, in.ID.UUID)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fault.New(fault.NotFound, "not-found", "There is no event "+in.ID.String()+".")
		}
		return &eventOutput{CacheControl: "private, max-age=31536000, immutable", Body: e}, nil
	})
}

type eventInput struct {
	ID ID `path:"id" doc:"The event's id."`
}

// eventOutput may be kept for ever: a recorded event never changes.
type eventOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         eventsourcing.Recorded
}

type logInput struct {
	After int64 `query:"after" minimum:"0" doc:"Only events at greater positions."`
	Limit int   `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many at most."`
	EventFilter
}

// EventFilter is embedded in the input of a route that reads events. Empty
// fields are no condition; huma finds only exported types inside another.
type EventFilter struct {
	Aggregate   string `query:"aggregate" maxLength:"100" example:"user" doc:"Only events of this kind of aggregate, such as user."`
	AggregateID ID     `query:"aggregate_id" example:"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01" doc:"Only events of this aggregate."`
	Name        string `query:"name" maxLength:"200" example:"user.created" doc:"Only events of this name, such as user.created."`

	CorrelationID string `query:"correlation_id" maxLength:"200" doc:"Only events with this correlation_id in their metadata: one story through all aggregates."`
}

// logPage is one page of the log. The cursor is a position, so it can be kept
// and used at any time later.
type logPage struct {
	Link string `header:"Link" doc:"<…>; rel=\"next\" while there are more events now."`
	Body struct {
		Items      []eventsourcing.Recorded `json:"items" nullable:"false"`
		NextCursor *string                  `json:"next_cursor" required:"true" doc:"Pass it as after for the next page; null at the end of the log as it is now."`
	}
}

func (in *logInput) read(ctx context.Context, log LogReader) (*logPage, error) {
	f := LogFilter{After: in.After, Aggregate: in.Aggregate, AggregateID: in.AggregateID.UUID, Name: in.Name, CorrelationID: in.CorrelationID}
	events, err := log.Page(ctx, f, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := &logPage{}
	page.Body.Items = events
	if len(events) > in.Limit {
		page.Body.Items = events[:in.Limit]
		next := strconv.FormatInt(events[in.Limit-1].Position, 10)
		page.Body.NextCursor = &next
		page.Link = "</v1/events?" + in.query(next) + `>; rel="next"`
	}
	return page, nil
}

func (in *logInput) query(after string) string {
	q := url.Values{"after": {after}, "limit": {strconv.Itoa(in.Limit)}}
	for name, value := range map[string]string{"aggregate": in.Aggregate, "name": in.Name, "correlation_id": in.CorrelationID} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if in.AggregateID.UUID != uuid.Nil {
		q.Set("aggregate_id", in.AggregateID.String())
	}
	return q.Encode()
}
