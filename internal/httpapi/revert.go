package httpapi

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// RevertRequest is embedded in the input of a revert.
type RevertRequest struct {
	Precondition
	Waiting

	Body revertBody
}

type revertBody struct {
	ID        string `json:"id" format:"uuid" doc:"The id of the event that will be appended, made by the client: a repeated request answers as the first did." example:"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0aff"`
	ToVersion int    `json:"to_version" minimum:"1" maximum:"2147483647" doc:"The version the row is put back to." example:"1"`
}

// Resolve checks the id. Why it is no ID in the body: that it cannot be decoded
// would be said of the whole body.
func (b *revertBody) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	if b.ID == "" {
		return nil // which is said already
	}
	if _, err := b.eventID(); err != nil {
		return []error{&huma.ErrorDetail{Location: at.With("id"), Message: err.Error()}}
	}
	return nil
}

func (b *revertBody) eventID() (id ID, err error) {
	err = id.UnmarshalText([]byte(b.ID))
	return id, err
}

// RevertRefusals are the problems that [Reverting.Do] may answer with.
func RevertRefusals() []Refusal {
	return []Refusal{
		{fault.NotFound, codeNotFound},
		{fault.Conflict, "version-conflict"},
		{fault.Precondition, "version-conflict"},
		{fault.Invalid, codeValidation},
		{fault.Invalid, "event-id-reused"},
		{fault.Unavailable, codeUnavailable},
	}
}

// Reverted is the answer to a revert: the receipt of its event, as an append
// answers.
type Reverted struct {
	Status            int
	Location          string `header:"Location" doc:"Where the event can be read."`
	PreferenceApplied string `header:"Preference-Applied" doc:"wait=N, where the view had caught up in time."`
	Body              eventsourcing.Receipt
}

// Versions are the past as a revert needs it; see aggregator.Past.
type Versions[Row any] interface {
	// Version is the aggregate's version now.
	Version(ctx context.Context, id uuid.UUID) (int, error)
	// AtVersion gives the row after the aggregate's event of that version, and
	// the position of that event.
	AtVersion(ctx context.Context, id uuid.UUID, version int) (row *Row, position int64, err error)
}

// Reverting puts a row back to what it was by appending an event that says so.
// Nothing of the history is lost, and a revert can be reverted.
type Reverting[Row any] struct {
	Past Versions[Row]
	// Event is the name and the payload of the event that makes the row what
	// it was. The payload depends on nothing else, so that a repeated request
	// makes an equal one.
	Event func(then *Row, version int) (name string, payload any)
	// Append records the event; see eventstore.Log.
	Append func(context.Context, []eventsourcing.Event) ([]eventsourcing.Receipt, error)
	// Wait returns true as soon as the view shows the event, and false when ctx ends
	// first.
	Wait func(ctx context.Context, events []eventsourcing.Receipt) bool
}

// revertAttempts is how often an append is tried that others are faster than.
const revertAttempts = 3

// Do appends the event. An aggregate that never was is a 404; a version it does
// not have, or at which it was deleted, is a mistake in the body. With a version
// in If-Match the aggregate has to be at it; without, whatever others do in the
// meantime comes before the revert.
func (r Reverting[Row]) Do(ctx context.Context, id ID, in *RevertRequest) (*Reverted, error) {
	match := in.Match()
	match.Any = false // it holds: what never was is a 404 already
	var receipts []eventsourcing.Receipt
	for attempt := 1; ; attempt++ {
		e, err := r.event(ctx, id, in)
		if err != nil {
			return nil, err
		}
		to := Appending{Append: r.Append}
		receipts, err = to.conditionally(ctx, match, []eventsourcing.Event{e})
		if err == nil {
			break
		}
		if match.Version != nil || !fault.Is(err, "version-conflict") || attempt == revertAttempts {
			return nil, err
		}
	}
	out := &Reverted{
		Status: statusOfReceipts(receipts), Location: "/v1/events/" + receipts[0].ID.String(), Body: receipts[0],
	}
	out.PreferenceApplied = in.Await(ctx, func(ctx context.Context) bool { return r.Wait(ctx, receipts) })
	return out, nil
}

// event makes the event against the present state.
func (r Reverting[Row]) event(ctx context.Context, id ID, in *RevertRequest) (eventsourcing.Event, error) {
	var none eventsourcing.Event
	own, err := in.Body.eventID()
	if err != nil {
		return none, fault.Validation([]fault.Field{{Pointer: "/id", Detail: err.Error()}})
	}
	current, err := r.Past.Version(ctx, id.UUID)
	if err != nil {
		return none, err
	}
	version := in.Body.ToVersion
	if version > current {
		return none, badVersion(fmt.Sprintf("is not a version of %s, which is at version %d", id, current))
	}
	then, _, err := r.Past.AtVersion(ctx, id.UUID, version)
	if f, ok := fault.Of(err); ok && f.Kind == fault.Gone {
		return none, badVersion("is the version at which it was deleted, so there is nothing to put back")
	}
	if err != nil {
		return none, err
	}
	name, payload := r.Event(then, version)
	text, err := json.Marshal(payload)
	if err != nil {
		return none, fmt.Errorf("encode the payload of %s: %w", name, err)
	}
	e := eventsourcing.Event{
		ID: own.UUID, AggregateID: id.UUID, Name: name, Payload: text, Metadata: Metadata(ctx),
	}
	if in.Match().Version == nil {
		e.ExpectedVersion = &current
	}
	return e, nil
}

func badVersion(detail string) error {
	return fault.Validation([]fault.Field{{Pointer: "/to_version", Detail: detail}})
}
