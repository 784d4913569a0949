package httpapi

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/schema"
)

const (
	schemaRef      = "#/components/schemas/"
	recordedSchema = "RecordedEvent"
	revisionSchema = "Revision"
	// uncheckedSchema is of an event that may break its own rules.
	uncheckedSchema = "UncheckedEvent"
	metadataSchema  = "Metadata"
)

// describeEvents writes what answers show of the log into the specification:
// one schema per event and version of its payload, told apart by name. A new
// version of a payload is a new schema, so that a review of the document shows
// it.
func (a *API) describeEvents(types []eventsourcing.EventType) {
	schemas := a.Schemas()
	schemas.RegisterTypeAlias(reflect.TypeFor[uuid.UUID](), reflect.TypeFor[uuidText]())
	schemas.RegisterTypeAlias(reflect.TypeFor[eventsourcing.Time](), reflect.TypeFor[timeText]())
	schemas.RegisterTypeAlias(reflect.TypeFor[eventsourcing.Recorded](), reflect.TypeFor[recordedEvent]())
	schemas.Map()[metadataSchema] = metadataOf()
	schemas.Map()[uncheckedSchema] = recordedAs(nil)
	if len(types) == 0 { // routes alone, without a log behind them
		schemas.Map()[recordedSchema] = recordedAs(nil)
		return
	}
	union := &huma.Schema{
		Type: huma.TypeObject,
		Description: "A fact as the log keeps it, in the newest version of its schema. Ignore names that are not " +
			"listed: a newer program that serves the same log may have recorded them.",
		Discriminator: &huma.Discriminator{PropertyName: "name", Mapping: map[string]string{}},
	}
	for i := range types {
		component := "Recorded" + componentName(types[i].Name)
		payload, err := a.payloadSchema(&types[i])
		if err != nil {
			a.failures = append(a.failures, err)
			continue
		}
		schemas.Map()[component] = recordedAs(&types[i])
		schemas.Map()[payloadName(&types[i])] = payload
		union.OneOf = append(union.OneOf, &huma.Schema{Ref: schemaRef + component})
		union.Discriminator.Mapping[types[i].Name] = schemaRef + component
	}
	schemas.Map()[recordedSchema] = union
}

// payloadName is the component of an event's payload, with the version in its
// name: UserCreatedV1.
func payloadName(t *eventsourcing.EventType) string {
	return componentName(t.Name) + "V" + strconv.Itoa(t.SchemaVersion())
}

// payloadSchema is what a payload has to keep. The server's own events are not
// checked on the way in, so their types may be any.
func (a *API) payloadSchema(t *eventsourcing.EventType) (s *huma.Schema, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("describe event %s: %v", t.Name, cause)
		}
	}()
	if !t.ServerOnly {
		rules, err := schema.Compile(t.Payload, schema.Named(t.Name), schema.MinProperties(t.MinFields))
		if err != nil {
			return nil, fmt.Errorf("rules of event %s: %w", t.Name, err)
		}
		s = rules.JSONSchema()
	} else {
		own := *huma.SchemaFromType(a.Schemas(), t.Payload)
		s = &own
	}
	s.Title = t.Name + ", version " + strconv.Itoa(t.SchemaVersion())
	return s, nil
}

// recordedAs is the schema of a recorded event; of any if t is nil. It is open,
// because a revision is an event and more.
func recordedAs(t *eventsourcing.EventType) *huma.Schema {
	id := func(description string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Format: "uuid", Description: description}
	}
	one := 1.0
	s := &huma.Schema{
		Type: huma.TypeObject,
		Properties: map[string]*huma.Schema{
			"id":             id("The event's id, made by whoever asked for it."),
			"aggregate_id":   id("Whom the event is about."),
			"aggregate":      {Type: huma.TypeString},
			"name":           {Type: huma.TypeString},
			"schema_version": {Type: huma.TypeInteger, Description: "The version of the payload's schema."},
			"version":        {Type: huma.TypeInteger, Format: "int32", Minimum: &one, Description: "Counts the aggregate's events 1, 2, 3 …"},
			"position":       {Type: huma.TypeInteger, Format: "int64", Minimum: &one, Description: "Counts all events of the log, without gaps."},
			"payload":        {Type: huma.TypeObject},
			"metadata":       {Ref: schemaRef + metadataSchema},
			"actor":          {Type: huma.TypeString, Description: "Who asked, from the credential.", Examples: []any{"key:web"}},
			"recorded_at":    timeText{}.Schema(nil),
		},
		Required: []string{
			"id", "aggregate_id", "aggregate", "name", "schema_version", "version", "position", "payload", "metadata", "actor", "recorded_at",
		},
	}
	if t != nil {
		s.Title = t.Name
		s.Properties["aggregate"].Enum = []any{t.Aggregate()}
		s.Properties["name"].Enum = []any{t.Name}
		s.Properties["schema_version"].Enum = []any{t.SchemaVersion()}
		s.Properties["payload"] = &huma.Schema{Ref: schemaRef + payloadName(t)}
	}
	return s
}

func metadataOf() *huma.Schema {
	shortest, longest := 1, longestCorrelation
	correlation := func(description string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, MinLength: &shortest, MaxLength: &longest, Description: description}
	}
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true,
		Properties: map[string]*huma.Schema{
			"correlation_id": correlation("What the events of one story have in common; GET /v1/events finds them by it."),
			"causation_id":   correlation("The event or command that made this one happen."),
		},
		Description: "Circumstances: the fields named here and whatever else the client keeps. Unless they are given, trace_id, " +
			"correlation_id and causation_id are taken from the request's headers traceparent, X-Correlation-ID and X-Causation-ID.",
	}
}

// uuidText, timeText and recordedEvent say how the types they stand for are
// written, which those cannot: they know no HTTP.
type (
	uuidText      struct{}
	timeText      struct{}
	recordedEvent struct{}
)

// Schema describes a UUID in an answer.
func (uuidText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
}

// Schema describes a time in an answer.
func (timeText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Examples: []any{"2026-11-21T03:04:05.123456Z"}}
}

// Schema refers to the union of all events.
func (recordedEvent) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Ref: schemaRef + recordedSchema}
}

// Schema describes a revision as an event with its changes.
func (Revision) Schema(schemas huma.Registry) *huma.Schema {
	if schemas.Map()[revisionSchema] == nil {
		changes := schemas.Schema(reflect.TypeFor[[]PatchOperation](), true, "")
		changes.Nullable = true
		changes.Description = "The patch (RFC 6902) from the row before the event to the row after it; null where the view cannot apply the event."
		schemas.Map()[revisionSchema] = &huma.Schema{AllOf: []*huma.Schema{
			{Ref: schemaRef + recordedSchema},
			{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"changes": changes}, Required: []string{"changes"}},
		}}
	}
	return &huma.Schema{Ref: schemaRef + revisionSchema}
}
