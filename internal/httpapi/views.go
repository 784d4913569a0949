package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/google/uuid"

	"onepg/internal/fault"
)

// List is an answer that is a complete list, without pages.
type List[T any] struct {
	Body struct {
		Items []T `json:"items" nullable:"false"`
	}
}

// ViewOperator answers for the views. S is how one stands, P an aggregate that
// one has parked. For a view that does not exist its errors are a
// fault.NotFound.
type ViewOperator[S, P any] interface {
	// Status tells how each view stands.
	Status(ctx context.Context) ([]S, error)
	// Parked lists by the events' positions, after a position and up to limit.
	Parked(ctx context.Context, view string, after int64, limit int) ([]P, error)
	// Retry asks for another attempt at a parked aggregate, or with uuid.Nil at
	// all of them, which lets a halted view go on. It gives their number.
	Retry(ctx context.Context, view string, aggregateID uuid.UUID) (int, error)
	// Rebuild asks for a view to be folded anew; asking twice is asking once.
	Rebuild(ctx context.Context, view string) error
}

// Views registers the routes that watch and mend the views. position is where
// in the log a parked aggregate's event is.
func Views[S, P any](a *API, views ViewOperator[S, P], position func(P) int64) {
	g := a.Group("views")
	Get(g, Operation{
		Path: "", ID: "list-views", Scope: "views:read", Summary: "How each view stands",
		Description: "Read from the database, so it is true whatever this process believes.",
	}, func(ctx context.Context, _ *struct{}) (*List[S], error) {
		all, err := views.Status(ctx)
		if err != nil {
			return nil, err
		}
		out := &List[S]{}
		out.Body.Items = all
		return out, nil
	})
	Get(g, mending(http.StatusOK, "/{name}/parked", "list-parked", "What a view could not apply",
		"Aggregates that the view has set aside, with the event and the error, in the order of the log. "+
			"Their later events wait behind it; all other aggregates are up to date."),
		func(ctx context.Context, in *parkedInput) (*Listing[P], error) {
			return listParked(ctx, views, position, in)
		})
	// Why: an event that another program recorded, and that breaks its rules, is
	// parked for just that.
	if event := a.Schemas().Schema(reflect.TypeFor[P](), false, "").Properties["event"]; event != nil {
		event.Ref = schemaRef + uncheckedSchema
	}
	Post(g, mending(http.StatusAccepted, "/{name}/parked/{aggregate_id}/retry", "retry-parked", "Try a parked aggregate again",
		"The event and those behind it are applied in order within a second, by whichever replica keeps the view. "+
			"One that fails again stays in the list."),
		func(ctx context.Context, in *retryInput) (*retried, error) {
			return retry(ctx, views, in.Name, in.AggregateID.UUID)
		})
	Post(g, mending(http.StatusAccepted, "/{name}/parked/retry", "retry-all-parked", "Try all that is parked again",
		"As for one aggregate. A view that has halted goes on; it halts again if too much fails still."),
		func(ctx context.Context, in *viewInput) (*retried, error) {
			return retry(ctx, views, in.Name, uuid.Nil)
		})
	rebuild := mending(http.StatusAccepted, "/{name}/rebuild", "rebuild-view", "Rebuild a view",
		"Folds the view anew from the first event, beside the live one, and exchanges the two when it has caught up; "+
			"GET /v1/views shows how far it is. Asking again while it runs changes nothing.")
	rebuild.Problems = append(rebuild.Problems, Refusal{fault.Conflict, "view-tied"}, Refusal{fault.Conflict, "view-newer"})
	Post(g, rebuild, func(ctx context.Context, in *viewInput) (*accepted, error) {
		return &accepted{Location: "/v1/views"}, views.Rebuild(ctx, in.Name)
	})
}

// mending is what the routes for operators have in common.
func mending(status int, path, id, summary, description string) Operation {
	return Operation{
		Path: path, ID: id, Scope: "views:admin", Status: status, Summary: summary, Description: description,
		Problems: []Refusal{{fault.NotFound, "not-found"}},
	}
}

type viewInput struct {
	Name string `path:"name" maxLength:"63" example:"users" doc:"The view's name, such as users."`
}

type retryInput struct {
	Name        string `path:"name" maxLength:"63" example:"users" doc:"The view's name, such as users."`
	AggregateID ID     `path:"aggregate_id" example:"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01" doc:"The parked aggregate."`
}

type parkedInput struct {
	Paging

	Name string `path:"name" maxLength:"63" example:"users" doc:"The view's name, such as users."`
}

type accepted struct {
	Location string `header:"Location" doc:"Where to see how far it is."`
}

type retried struct {
	Body struct {
		Retried int `json:"retried" doc:"How many aggregates are tried again."`
	}
}

func retry[S, P any](ctx context.Context, views ViewOperator[S, P], name string, aggregateID uuid.UUID) (*retried, error) {
	n, err := views.Retry(ctx, name, aggregateID)
	if err != nil {
		return nil, err
	}
	out := &retried{}
	out.Body.Retried = n
	return out, nil
}

func listParked[S, P any](ctx context.Context, views ViewOperator[S, P], position func(P) int64, in *parkedInput) (*Listing[P], error) {
	var after int64
	if cursor := in.After(); cursor != nil {
		var err error
		if after, err = strconv.ParseInt(cursor.Key, 10, 64); err != nil {
			return nil, BadParameter("cursor", "is not one this server made")
		}
	}
	rows, err := views.Parked(ctx, in.Name, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return NewListing(&in.Paging, rows, func(p P) Cursor {
		return Cursor{Key: strconv.FormatInt(position(p), 10)}
	}), nil
}
