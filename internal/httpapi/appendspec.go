package httpapi

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"onepg/internal/eventsourcing"
)

// describe writes the append route into the specification: one schema per
// event, told apart by name, alone or in an array.
func (in *intake) describe(schemas huma.Registry, op *huma.Operation) {
	var events []*huma.Schema
	mapping := make(map[string]string)
	for _, name := range in.names {
		component := componentName(name)
		schemas.Map()[component] = in.envelope(name)
		ref := "#/components/schemas/" + component
		events = append(events, &huma.Schema{Ref: ref})
		mapping[name] = ref
	}
	event := &huma.Schema{
		OneOf:         events,
		Discriminator: &huma.Discriminator{PropertyName: "name", Mapping: mapping},
	}
	most := in.limits.Events
	least := 1
	op.RequestBody = &huma.RequestBody{
		Required: true,
		Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{OneOf: []*huma.Schema{
			event, {Type: huma.TypeArray, Items: event, MinItems: &least, MaxItems: &most},
		}}}},
	}
	op.Parameters = append(op.Parameters,
		&huma.Param{
			Name: "If-Match", In: "header", Schema: &huma.Schema{Type: huma.TypeString, Examples: []any{`"3"`}},
			Description: "The version the aggregate must be at, in quotes; 412 if it is not.",
		},
		&huma.Param{
			Name: "Prefer", In: "header", Schema: &huma.Schema{Type: huma.TypeString, Examples: []any{"wait=5"}},
			Description: "wait=N: answer when every view of the domain shows the events, or after N seconds, at most 30 (RFC 7240).",
		})
	one := schemas.Schema(reflect.TypeFor[eventsourcing.Receipt](), true, "Receipt")
	many := schemas.Schema(reflect.TypeFor[receiptList](), true, "Receipts")
	body := map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{OneOf: []*huma.Schema{one, many}}}}
	headers := map[string]*huma.Param{
		"Location":           {Description: "Where the event can be read, for a single one.", Schema: &huma.Schema{Type: huma.TypeString}},
		"Preference-Applied": {Description: "wait=N, where the views had caught up in time.", Schema: &huma.Schema{Type: huma.TypeString}},
	}
	op.Responses[strconv.Itoa(http.StatusCreated)] = &huma.Response{Description: "Appended.", Content: body, Headers: headers}
	op.Responses[strconv.Itoa(http.StatusOK)] = &huma.Response{
		Description: "Recorded before, with the same content: the original answer.", Content: body, Headers: headers,
	}
}

// envelope is the schema of an event as a client sends it.
func (in *intake) envelope(name string) *huma.Schema {
	id := func(description, example string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Format: "uuid", Description: description, Examples: []any{example}}
	}
	shortest, longest := 1, longestCorrelation
	correlation := func(description string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, MinLength: &shortest, MaxLength: &longest, Description: description}
	}
	zero, most := 0.0, 2147483647.0
	return &huma.Schema{
		Type:  huma.TypeObject,
		Title: name,
		Properties: map[string]*huma.Schema{
			"id":           id("The event's id, made by the client.", "0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"),
			"aggregate_id": id("Whom the event is about, made by the client.", "0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01"),
			"name":         {Type: huma.TypeString, Enum: []any{name}},
			"payload":      in.rules[name].JSONSchema(),
			"expected_version": {
				Type: huma.TypeInteger, Format: "int32", Minimum: &zero, Maximum: &most,
				Description: "The aggregate's version before this event; 0 if it must not exist.",
			},
			"metadata": {
				Type: huma.TypeObject, AdditionalProperties: true,
				Properties: map[string]*huma.Schema{
					"correlation_id": correlation("What the events of one story have in common; GET /v1/events finds them by it."),
					"causation_id":   correlation("The event or command that made this one happen."),
					"trace_id":       {Description: "The trace the request belongs to; taken from its traceparent header unless given."},
				},
				Description: "Circumstances: the fields named here and whatever else the client keeps.",
			},
		},
		Required:             []string{"id", "aggregate_id", "name", "payload"},
		AdditionalProperties: false,
	}
}

// componentName makes UserCreated of user.created.
func componentName(event string) string {
	name := make([]byte, 0, len(event))
	upper := true
	for i := range len(event) {
		switch c := event[i]; {
		case c == '.' || c == '_':
			upper = true
		case upper && c >= 'a' && c <= 'z':
			name = append(name, c-'a'+'A')
			upper = false
		default:
			name = append(name, c)
			upper = false
		}
	}
	return string(slices.Clip(name))
}
