package users

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/domains"
	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

// queries serves the view, the past that no view keeps, and the way back to it.
type queries struct {
	users       repository
	past        aggregator.Past[User]
	append      func(context.Context, []eventsourcing.Event) ([]eventsourcing.Receipt, error)
	wait        func(context.Context, []eventsourcing.Receipt) bool
	waitVersion domains.WaitVersion
}

func (q queries) register(g *httpapi.Group) {
	httpapi.Get(g, httpapi.Operation{
		Path: "", ID: "list-users", Scope: "users:read", Summary: "List users",
		Description: "One page of the view. Names are compared in any case. With as_of the list as it was at that time, " +
			"in the order of ids; such a page may be shorter than its limit before the last one.",
	}, q.list)
	httpapi.Get(g, httpapi.Operation{
		Path: "/{id}", ID: "get-user", Scope: "users:read", Summary: "One user",
		Description: "With min_version and Prefer: wait=N the answer waits until the view shows that version: read your own write. " +
			"With version or as_of the row as it was then, from the events alone.",
		Problems: []httpapi.Refusal{
			{Kind: fault.NotFound, Code: "not-found"}, {Kind: fault.Gone, Code: "gone"}, {Kind: fault.Timeout, Code: "view-behind"},
		},
	}, q.one)
	httpapi.Get(g, httpapi.Operation{
		Path: "/{id}/history", ID: "list-user-history", Scope: "users:read", Summary: "Who changed what and when",
		Description: "The user's events, newest first, each with its changes. A deleted user has its history still.",
		Problems:    []httpapi.Refusal{{Kind: fault.NotFound, Code: "not-found"}},
	}, q.history)
	httpapi.Post(g, httpapi.Operation{
		Path: "/{id}/revert", ID: "revert-user", Scope: "users:write", Summary: "Put a user back to what it was",
		Description: "Appends user.reverted, so that the history is kept. Brings a deleted user back too.",
		Status:      http.StatusCreated, Repeats: true, Problems: httpapi.RevertRefusals(),
	}, q.revert)
}

type listInput struct {
	httpapi.Paging
	httpapi.AsOf

	Sort  string `query:"sort"  enum:"created_at,-created_at,updated_at,-updated_at,name,-name" default:"-created_at" doc:"The order; - in front for descending."`
	Email string `query:"email" maxLength:"254" doc:"Only the user with this address, in any case."`
	Name  string `query:"name"  maxLength:"200" doc:"Only users whose name starts with this, in any case."`
}

func (q queries) list(ctx context.Context, in *listInput) (*httpapi.Listing[*User], error) {
	if in.Given() {
		return httpapi.ReadListPast(ctx, q.past, &in.AsOf, &in.Paging)
	}
	sort, desc := strings.CutPrefix(in.Sort, "-")
	by := orders[sort] // huma has refused any other
	f := filter{by: by, desc: desc, email: in.Email, name: in.Name, limit: int64(in.Limit) + 1}
	if after := in.After(); after != nil {
		key := after.Key
		if by.isTime {
			at, err := after.Time()
			if err != nil {
				return nil, err
			}
			key = eventsourcing.Time{Time: at}.String()
		}
		f.after, f.afterID = &key, after.ID
	}
	rows, err := q.users.list(ctx, f)
	if err != nil {
		return nil, err
	}
	return httpapi.NewListing(&in.Paging, rows, func(u *User) httpapi.Cursor {
		return httpapi.Cursor{Key: by.key(u), ID: u.ID}
	}), nil
}

type oneInput struct {
	httpapi.Conditional
	httpapi.Waiting
	httpapi.When

	ID         httpapi.ID `path:"id" example:"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01" doc:"The user's id."`
	MinVersion int        `query:"min_version" minimum:"1" doc:"Answer only when the view shows this version or a later one."`
}

func (q queries) one(ctx context.Context, in *oneInput) (*httpapi.Versioned[*User], error) {
	if in.Given() {
		return httpapi.ReadPast(ctx, q.past, in.ID, &in.When, &in.Conditional)
	}
	var user *User
	applied, err := in.AwaitVersion(ctx, in.MinVersion, func(ctx context.Context) (bool, error) {
		row, shown, err := q.waitVersion(ctx, view, in.ID.UUID, in.MinVersion, func(ctx context.Context) (bool, error) {
			row, _, err := q.users.row(ctx, in.ID.UUID)
			if err != nil || row == nil || row.Version < in.MinVersion {
				return false, err
			}
			user = row
			return true, nil
		})
		if written, ok := row.(*User); ok { // it is served as the view has it
			user = written
		}
		return shown, err
	})
	if err != nil {
		return nil, err
	}
	known := true
	if user == nil {
		user, known, err = q.users.find(ctx, in.ID.UUID)
	}
	switch {
	case err != nil:
		return nil, err
	case user == nil && known:
		return nil, fault.New(fault.Gone, "gone", "User "+in.ID.String()+" was deleted. Its events are still in the log.")
	case user == nil:
		return nil, fault.New(fault.NotFound, "not-found", "There is no user "+in.ID.String()+".")
	}
	out := httpapi.NewVersioned(&in.Conditional, user.Version, user)
	out.PreferenceApplied = applied
	return out, nil
}

type historyInput struct {
	httpapi.Paging

	ID httpapi.ID `path:"id" example:"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01" doc:"The user's id."`
}

func (q queries) history(ctx context.Context, in *historyInput) (*httpapi.Listing[httpapi.Revision], error) {
	return httpapi.ReadHistory(ctx, q.past, in.ID, &in.Paging)
}

type revertInput struct {
	httpapi.RevertRequest

	ID httpapi.ID `path:"id" example:"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01" doc:"The user's id."`
}

func (q queries) revert(ctx context.Context, in *revertInput) (*httpapi.Reverted, error) {
	return q.putBack(ctx, in.ID.UUID, &in.RevertRequest)
}

func (q queries) putBack(ctx context.Context, id uuid.UUID, in *httpapi.RevertRequest) (*httpapi.Reverted, error) {
	reverting := httpapi.Reverting[User]{
		Past: q.past, Event: revertTo, Append: q.append,
		Wait: q.wait,
	}
	return reverting.Do(ctx, httpapi.ID{UUID: id}, in)
}
