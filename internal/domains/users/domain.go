// Package users is the domain of the people who use a product: created,
// updated and deleted by events that clients post, and read back from one view.
//
// It is the model for a domain without rules of its own; payments is the one
// for a domain with rules. To make another: copy this folder, rename, write its
// migration for the view's table, which ends with SELECT grant_view('…') for
// servers of least right, and add its New to cmd/domains.go.
//
//	events.go      what can happen to a user
//	state.go       what a user is after it: the row and its fold
//	repository.go  how the view is read (the only file with SQL)
//	routes.go      how it is served (the only file with HTTP)
//	domain.go      this manifest
package users

import (
	"context"

	"onepg/internal/aggregator"
	"onepg/internal/domains"
	"onepg/internal/eventsourcing"
)

// view is the name of the view and of its table.
const view = "users"

// New makes the domain.
func New(deps domains.Deps) domains.Domain {
	q := queries{
		users: newRepository(deps.DB), waitVersion: deps.WaitVersion,
		past: aggregator.PastOf("user", evolve, deps.Past), append: deps.Append,
		wait: func(ctx context.Context, events []eventsourcing.Receipt) bool {
			return deps.Wait(ctx, []string{view}, events)
		},
	}
	return domains.Domain{
		Name:   "users",
		Events: events(),
		Views:  []aggregator.View{aggregator.Define[User, Event](view, "user", evolve)},
		Stream: domains.StreamOf(view, q.users.withIDs),
		Revert: q.putBack,
		Routes: q.register,
	}
}
