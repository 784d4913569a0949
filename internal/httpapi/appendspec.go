package httpapi

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"onepg/internal/eventsourcing"
	"onepg/internal/schema"
)

// describe writes the append route into the specification: one schema per
// event, told apart by name, alone or in an array.
func (in *intake) describe(schemas huma.Registry, op *huma.Operation) {
	union := &huma.Schema{
		Type: huma.TypeObject, Description: "An event of " + in.domain + " that clients may post.",
		Discriminator: &huma.Discriminator{PropertyName: "name", Mapping: make(map[string]string)},
	}
	for i := range in.types {
		t := &in.types[i]
		component := componentName(t.Name)
		schemas.Map()[component] = envelope(t)
		if schemas.Map()[payloadName(t)] == nil {
			schemas.Map()[payloadName(t)] = in.rules[t.Name].JSONSchema()
		}
		ref := schemaRef + component
		union.OneOf = append(union.OneOf, &huma.Schema{Ref: ref})
		union.Discriminator.Mapping[t.Name] = ref
	}
	name := componentName(in.domain) + "Event"
	schemas.Map()[name] = union
	event := &huma.Schema{Ref: schemaRef + name}
	most := in.limits.Events
	least := 1
	op.RequestBody = &huma.RequestBody{
		Required: true,
		Content: map[string]*huma.MediaType{"application/json": {
			Schema: &huma.Schema{OneOf: []*huma.Schema{
				event, {Type: huma.TypeArray, Items: event, MinItems: &least, MaxItems: &most},
			}},
			Examples: appendExamples(in.types, in.rules),
		}},
	}
	op.Parameters = append(op.Parameters,
		&huma.Param{
			Name: "If-Match", In: "header", Schema: &huma.Schema{Type: huma.TypeString, Examples: []any{`"3"`}},
			Description: "The version the aggregate must be at, in quotes, or * if it only must exist; 412 if it does not hold. " +
				"All events must be about one aggregate. A weak tag (W/) never matches, and lists are not taken.",
		},
		&huma.Param{
			Name: "Prefer", In: "header", Schema: &huma.Schema{Type: huma.TypeString, Examples: []any{"wait=5"}},
			Description: "wait=N: answer when every view of the domain shows the events, or after N seconds, at most 30 (RFC 7240).",
		})
	one := schemas.Schema(reflect.TypeFor[eventsourcing.Receipt](), true, "Receipt")
	many := schemas.Schema(reflect.TypeFor[receiptList](), true, "Receipts")
	body := map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{OneOf: []*huma.Schema{one, many}}}}
	headers := func() map[string]*huma.Param {
		return map[string]*huma.Param{"Location": headerRef("Location"), "Preference-Applied": headerRef("Preference-Applied")}
	}
	op.Responses[strconv.Itoa(http.StatusCreated)] = &huma.Response{Description: "Appended.", Content: body, Headers: headers()}
	op.Responses[strconv.Itoa(http.StatusOK)] = &huma.Response{
		Description: "Recorded before, with the same content: the original answer.", Content: body, Headers: headers(),
	}
}

// envelope is the schema of an event as a client sends it. Its lifecycle is an
// extension, for clients that make the id of what an event creates.
func envelope(t *eventsourcing.EventType) *huma.Schema {
	id := func(description, example string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Format: "uuid", Description: description, Examples: []any{example}}
	}
	zero, most := 0.0, 2147483647.0
	return &huma.Schema{
		Type:  huma.TypeObject,
		Title: t.Name,
		Properties: map[string]*huma.Schema{
			"id":           id("The event's id, made by the client.", exampleID(0)),
			"aggregate_id": id("Whom the event is about, made by the client.", exampleAggregate),
			"name":         {Type: huma.TypeString, Enum: []any{t.Name}},
			"payload":      {Ref: schemaRef + payloadName(t)},
			"expected_version": {
				Type: huma.TypeInteger, Format: "int32", Minimum: &zero, Maximum: &most,
				Description: "The aggregate's version before this event; 0 if it must not exist.",
			},
			"metadata": {Ref: schemaRef + metadataSchema},
		},
		Required:             []string{"id", "aggregate_id", "name", "payload"},
		AdditionalProperties: false,
		Extensions:           map[string]any{"x-lifecycle": t.Lifecycle},
	}
}

const exampleAggregate = "0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01"

func exampleID(n int) string { return fmt.Sprintf("0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a%02x", n+1) }

// appendExamples are a request for each event alone, made from the examples of
// its payload's fields, and one for an array.
func appendExamples(types []eventsourcing.EventType, rules map[string]*schema.Schema) map[string]*huma.Example {
	examples := make(map[string]*huma.Example)
	for i := range types {
		t := &types[i]
		fields := make(map[string]any)
		for name, field := range rules[t.Name].JSONSchema().Properties {
			if len(field.Examples) > 0 {
				fields[name] = field.Examples[0]
			}
		}
		event := map[string]any{"id": exampleID(i), "aggregate_id": exampleAggregate, "name": t.Name, "payload": fields}
		examples[t.Name] = &huma.Example{Summary: "One event", Value: event}
		if t.Lifecycle == eventsourcing.Creates {
			examples["array"] = &huma.Example{Summary: "Events that are recorded all or not at all", Value: []any{event}}
		}
	}
	return examples
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
