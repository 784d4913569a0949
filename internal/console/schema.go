package console

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"onepg/internal/eventsourcing"
	"onepg/internal/schema"
)

// schemaOf is the JSON Schema of an event's payload: the rules that the append
// route holds clients to, or, for an event of the server's own, whose type may
// be any, what that type looks like.
func schemaOf(t eventsourcing.EventType) (document json.RawMessage, err error) {
	defer func() {
		if cause := recover(); cause != nil { // huma does so about types it cannot describe
			err = fmt.Errorf("schema of event %s: %v", t.Name, cause)
		}
	}()
	if rules, err := schema.Compile(t.Payload, schema.MinProperties(t.MinFields)); err == nil {
		return encode(rules.JSONSchema())
	}
	nested := huma.NewMapRegistry("#/$defs/", huma.DefaultSchemaNamer)
	nested.RegisterTypeAlias(reflect.TypeFor[eventsourcing.Time](), reflect.TypeFor[timeText]())
	s := huma.SchemaFromType(nested, t.Payload)
	if len(nested.Map()) > 0 {
		s.Extensions = map[string]any{"$defs": nested.Map()}
	}
	return encode(s)
}

func encode(s *huma.Schema) (json.RawMessage, error) {
	document, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode a schema: %w", err)
	}
	return document, nil
}

// timeText says how a time of the log is written.
type timeText struct{}

// Schema describes it.
func (timeText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}
