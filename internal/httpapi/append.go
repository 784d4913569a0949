package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// Appending is what the append route needs from the program.
type Appending struct {
	Types  []eventsourcing.EventType
	Limits EventLimits
	// Append records the events, all or none; see eventstore.Log.
	Append func(context.Context, []eventsourcing.Event) ([]eventsourcing.Receipt, error)
	// Wait returns true as soon as every view of the domain shows the events,
	// and false when ctx ends first.
	Wait func(context.Context, []eventsourcing.Receipt) bool
}

// Appends registers POST /v1/<domain>/events for the events that clients may
// post. It is a plain handler: huma's decoding costs 15 % on this, the hottest
// route, and does not know our strict JSON.
func (g *Group) Appends(a Appending) {
	in, err := newIntake(g.domain, a.Limits, a.Types)
	if err != nil {
		g.api.failures = append(g.api.failures, err)
		return
	}
	g.Raw(Operation{
		Method: http.MethodPost, Path: "/events", Scope: Scope(g.domain + ":write"),
		ID: "append-" + g.domain + "-events", Status: http.StatusCreated,
		Summary: "Append one event, or up to " + strconv.Itoa(a.Limits.Events) + " as an array that is all or nothing",
		Description: "Both ids come from the client, so that a repeated request answers as the first did. " +
			"With Prefer: wait=N the answer comes when every view of the domain shows the events, or after N seconds.",
		Problems: []Refusal{
			{fault.Malformed, codeMalformedBody},
			{fault.Conflict, "version-conflict"},
			{fault.Conflict, "aggregate-exists"},
			{fault.Conflict, "aggregate-missing"},
			{fault.Conflict, "aggregate-deleted"},
			{fault.Precondition, "version-conflict"},
			{fault.Invalid, "validation-failed"},
			{fault.Invalid, "event-id-reused"},
			{fault.Unavailable, "unavailable"},
		},
		Describe: func(op *huma.Operation) { in.describe(g.api.Schemas(), op) },
	}, func(c *gin.Context) error { return a.serve(c, in) })
}

func (a *Appending) serve(c *gin.Context, in *intake) error {
	match, err := ParseIfMatch(c.Request.Header)
	if err != nil {
		return err
	}
	body, err := ReadJSON(c)
	if err != nil {
		return err
	}
	events, array, err := in.read(body)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	given := requestOf(ctx).circumstances
	for i := range events {
		events[i].Metadata = withCircumstances(events[i].Metadata, given)
	}
	receipts, err := a.conditionally(ctx, match, events)
	if f, ok := fault.Of(err); ok && f.Event != nil {
		at := ""
		if array {
			at = "/" + strconv.Itoa(*f.Event)
		}
		return pointed(f, at)
	}
	if err != nil {
		return err
	}
	patience, asked := ParsePreferWait(c.Request.Header)
	shown := func(ctx context.Context) bool { return a.Wait(ctx, receipts) }
	if asked && await(ctx, patience, shown) {
		c.Header("Preference-Applied", PreferenceApplied(patience))
	}
	if !array {
		c.Header("Location", "/v1/events/"+receipts[0].ID.String())
		return WriteJSON(c, statusOfReceipts(receipts), receipts[0])
	}
	return WriteJSON(c, statusOfReceipts(receipts), receiptList{receipts})
}

// conditionally appends the events if If-Match holds for their aggregate. The
// log decides it when it records, so no other request can come in between. A
// request that only repeats what is recorded is answered as before, whatever
// its condition: known ids are decided first.
func (a *Appending) conditionally(ctx context.Context, match Match, events []eventsourcing.Event) ([]eventsourcing.Receipt, error) {
	if match == (Match{}) {
		return a.Append(ctx, events)
	}
	for _, e := range events[1:] {
		if e.AggregateID != events[0].AggregateID {
			return nil, BadParameter("If-Match", "is about one aggregate, and the events are about several; use expected_version in each")
		}
	}
	asked := slices.Clone(events)
	expected := match.expected(events[0].ExpectedVersion)
	asked[0].ExpectedVersion = &expected
	receipts, err := a.Append(ctx, asked)
	f, ok := fault.Of(err)
	if !ok || f.Code != "version-conflict" || *f.Event != 0 {
		return receipts, err
	}
	conflict := *f
	switch id, current := events[0].AggregateID, *f.CurrentVersion; {
	case !match.holds(current):
		conflict.Kind = fault.Precondition
		conflict.Message = fmt.Sprintf("If-Match does not hold: aggregate %s is at version %d. Read it again and decide anew.", id, current)
		if match.Version != nil && *match.Version == never {
			conflict.Message = `If-Match has a weak tag (W/"…"), which matches no version. Send the tag without W/.`
		}
	case match.Any:
		return a.Append(ctx, events) // what exists never ceases to, so it still holds
	default:
		conflict.Message = fmt.Sprintf("Aggregate %s is at version %d, as If-Match has it, not at the expected %d.", id, current, *events[0].ExpectedVersion)
	}
	return nil, &conflict
}

// pointed is the refusal of the event that is at that place in the body, with a
// pointer to it.
func pointed(f *fault.Error, at string) error {
	own := *f
	own.Fields = []fault.Field{{Pointer: at + "/" + refusedMember(f), Detail: f.Message}}
	return &own
}

// refusedMember is the member of an event that its refusal is about. Why not
// expected_version where If-Match failed: the event need not have one.
func refusedMember(f *fault.Error) string {
	switch {
	case f.Code == "event-id-reused":
		return "id"
	case f.Code == "version-conflict" && f.Kind == fault.Conflict:
		return "expected_version"
	}
	return "aggregate_id"
}

// statusOfReceipts is 201, or 200 when nothing was new.
func statusOfReceipts(receipts []eventsourcing.Receipt) int {
	for _, r := range receipts {
		if !r.Duplicate {
			return http.StatusCreated
		}
	}
	return http.StatusOK
}

// receiptList is the answer to an array, in the order sent.
type receiptList struct {
	Events []eventsourcing.Receipt `json:"events" nullable:"false"`
}
