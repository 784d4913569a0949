// Package domains is the contract between the program and its domains.
//
// A domain is one folder below this one. It declares its events, its views and
// its routes as data; the program registers, serves and runs them. Appending
// (POST /v1/<name>/events) comes with the events and is not written again. A
// domain sees the vocabulary (eventsourcing), the view engine (aggregator), the
// HTTP edge (httpapi) and this package, never another domain and never the
// store: what it needs arrives in [Deps].
//
// Package users is the model to copy.
package domains

import (
	"context"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
	"onepg/internal/httpapi"
)

// Domain is what a domain consists of. It is data: it can be checked, listed,
// shown and looped over.
type Domain struct {
	// Name is the plural noun of the routes (/v1/<name>) and scopes
	// (<name>:read, <name>:write).
	Name string
	// Events are all events of the domain's aggregates. Those that are not
	// server-only can be posted by clients.
	Events []eventsourcing.EventType
	// Views are the read models that its queries read.
	Views []aggregator.View
	// Models are the write models that its commands decide by.
	Models []eventsourcing.Model
	// Stream is the view whose changes clients can follow at
	// GET /v1/<name>/stream. The zero Stream is none.
	Stream Stream
	// Revert puts the aggregate with an id back to what it was, as the route for
	// it does; nil where that is not possible.
	Revert func(ctx context.Context, id uuid.UUID, in *httpapi.RevertRequest) (*httpapi.Reverted, error)
	// Routes registers its queries and commands.
	Routes func(*httpapi.Group)
	// Err is why the domain cannot be started, a setting for example.
	Err error
}

// Constructor makes a domain. It is called once at start.
type Constructor func(Deps) Domain

// WaitVersion returns true as soon as the view shows the aggregate at the version or
// a later one, and false when ctx ends first. It fails when the database cannot be
// asked. shows is how the domain reads the row, and may never be called. A row that is
// not nil is what the view now has, to be taken only where a read adds nothing to it; see
// WaitVersion of aggregator.Runner.
type WaitVersion func(
	ctx context.Context, view string, aggregateID uuid.UUID, version int, shows func(context.Context) (bool, error),
) (row any, shown bool, err error)

// Deps are what a domain may use.
type Deps struct {
	// DB is for reading the domain's own views.
	DB *bun.DB
	// WaitVersion waits until a view shows an aggregate at a version.
	WaitVersion WaitVersion
	// Past is what a domain's time travel is made from; see aggregator.PastOf.
	Past aggregator.PastLog
	// Append records events of the domain in the name of the request's
	// credential; see eventstore.Log.
	Append func(ctx context.Context, events []eventsourcing.Event) ([]eventsourcing.Receipt, error)
	// Wait returns true as soon as each of the views shows each of the events,
	// and false when ctx ends first. The views are of the events' aggregate.
	Wait func(ctx context.Context, views []string, events []eventsourcing.Receipt) bool
	// Commands is what an eventsourcing.Handler needs.
	Commands eventsourcing.Commands
}
