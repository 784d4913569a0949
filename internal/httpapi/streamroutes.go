package httpapi

import (
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"onepg/internal/eventsourcing"
	"onepg/internal/tail"
)

// EventStream registers GET /v1/events/stream: the log as it grows.
func (a *API) EventStream(events *tail.Broadcast) {
	stream(a.Group("events"), Operation{
		ID: "stream-events", Scope: "events:read", Summary: "Follow the log",
		Description: "Server-Sent Events: id is the position, event the event's name, data the recorded event. " +
			"Starts live, or after a position; without a filter positions come without gaps.",
		Describe: describeStream(func() *huma.Schema {
			name := &huma.Schema{Type: huma.TypeString, Description: "The event's name."}
			return messageSchema(name, a.Schemas().Schema(reflect.TypeFor[eventsourcing.Recorded](), true, ""))
		}),
	}, events, (*eventStreamInput).read)
}

// FollowEvents registers the same stream at <group>/stream, for pages, which
// reach nothing else with what their reader signed in with.
func (g *Group) FollowEvents(scope Scope, events *tail.Broadcast) {
	stream(g, Operation{Scope: scope, Hidden: true}, events, (*eventStreamInput).read)
}

type eventStreamInput struct {
	Resumption
	EventFilter
}

func (in *eventStreamInput) read() (Resumption, tail.Filter) {
	return in.Resumption, tail.Filter{Aggregate: in.Aggregate, AggregateID: in.AggregateID.UUID, Name: in.Name, CorrelationID: in.CorrelationID}
}

// RowStream registers GET /v1/<domain>/stream: the rows of a view as they
// change. row is their type.
func (g *Group) RowStream(rows *tail.Broadcast, row reflect.Type) {
	stream(g, Operation{
		ID: "stream-" + g.domain, Scope: Scope(g.domain + ":read"), Summary: "Follow the changes of " + g.domain,
		Description: "Server-Sent Events, each after GET shows the same: id is the position of the event that changed the row. " +
			"event is " + tail.RowChanged + " and data the row, or " + tail.RowRemoved + " and data its id. " +
			"After a position the rows changed since are sent as they are now, each once.",
		Describe: describeStream(func() *huma.Schema {
			id := &huma.Schema{
				Type: huma.TypeObject, Required: []string{"id"}, AdditionalProperties: false,
				Properties: map[string]*huma.Schema{"id": uuidText{}.Schema(nil)},
			}
			return &huma.Schema{OneOf: []*huma.Schema{
				messageSchema(&huma.Schema{Type: huma.TypeString, Enum: []any{tail.RowChanged}}, g.api.Schemas().Schema(row, true, "")),
				messageSchema(&huma.Schema{Type: huma.TypeString, Enum: []any{tail.RowRemoved}}, id),
			}}
		}),
	}, rows, func(in *rowStreamInput) (Resumption, tail.Filter) { return in.Resumption, tail.Filter{} })
}

type rowStreamInput struct{ Resumption }

// describeStream tells what one message is made of; OpenAPI 3.1 has no word for
// a stream of them.
func describeStream(message func() *huma.Schema) func(*huma.Operation) {
	return func(op *huma.Operation) {
		op.Responses[strconv.Itoa(http.StatusOK)] = &huma.Response{
			Description: "Messages until the client leaves; this is one, with its data read as JSON.",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: message()}},
		}
	}
}

func messageSchema(event, data *huma.Schema) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject,
		Properties: map[string]*huma.Schema{
			"id":    {Type: huma.TypeInteger, Format: "int64", Description: "A position of the log."},
			"event": event,
			"data":  data,
		},
		Required: []string{"id", "event", "data"},
	}
}

// position is a parameter that may be left out, which is not the same as 0.
type position struct {
	value int64
	given bool
}

// Schema describes it as the integer it is.
func (*position) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
}

// Receiver is where huma puts the parsed value.
func (p *position) Receiver() reflect.Value { return reflect.ValueOf(&p.value).Elem() }

// OnParamSet hears from huma whether there was one.
func (p *position) OnParamSet(given bool, _ any) { p.given = given }
