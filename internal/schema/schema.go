// Package schema makes the rules of an event from its Go struct.
//
// The struct is the only definition: huma generates its JSON Schema, which goes
// into the OpenAPI document, and [Compile] turns that same JSON Schema into a
// validator. What is documented is therefore what is checked. A tag or type
// that cannot be honoured is an error of Compile, at start; nothing is ignored.
//
// The rules, by struct tag:
//
//	json              the exact name; required without omitempty or omitzero
//	                  unless the field is a pointer (required:"…" decides otherwise)
//	nullable          null is refused unless this is "true"
//	minLength, maxLength, pattern, patternDescription, enum   strings; length in characters
//	format            strings: email, uuid, date, date-time
//	minimum, maximum  integers, compared exactly
//	minItems, maxItems, minProperties
//	doc, example, deprecated   for the reader of the documentation
//
// On a slice of scalars the tags for scalars apply to its elements, as in huma.
// Field types are string, bool, int, int32, int64, float64, structs, slices,
// pointers to them, time.Time, uuid.UUID and json.RawMessage (any JSON). Maps,
// interfaces and float32 are refused: they lose fields, order or digits.
//
// A [Schema] is read-only after Compile and safe for concurrent use.
package schema

import (
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"onepg/internal/strictjson"
)

// Schema holds the rules of one type, ready to be checked.
type Schema struct {
	document *huma.Schema
	rule     rule
}

// Option adds what struct tags cannot say about the type as a whole.
type Option func(*options)

type options struct {
	owner         string
	minProperties int
}

// Named makes the messages say whose fields are meant: "is not a field of
// user.created".
func Named(event string) Option { return func(o *options) { o.owner = event } }

// MinProperties demands at least n of the optional fields, as for a change that
// has to change something.
func MinProperties(n int) Option { return func(o *options) { o.minProperties = n } }

// Compile makes the rules of struct type t. It fails on a tag it does not know
// or cannot honour on that type of field, on a type that is not supported, and
// on a type that contains itself.
func Compile(t reflect.Type, opts ...Option) (*Schema, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("schema of %v: only a struct describes an event", t)
	}
	if err := inspect(t, nil); err != nil {
		return nil, fmt.Errorf("schema of %s: %w", t, err)
	}
	document, err := generate(t)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", t, err)
	}
	if o.minProperties > 0 {
		document.MinProperties = &o.minProperties
	}
	c := compiler{unknown: "is not a known field"}
	if o.owner != "" {
		c.unknown = "is not a field of " + o.owner
	}
	compiled, err := c.compile(t, document)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", t, err)
	}
	return &Schema{document: document, rule: compiled}, nil
}

// Validate adds every mistake in v to the report. It allocates next to nothing
// for a value without any.
func (s *Schema) Validate(v strictjson.Value, report *strictjson.Report) {
	s.rule.check(v, report)
}

// JSONSchema is the schema in the form of JSON Schema 2020-12, complete in
// itself: nested types are written out, without references. It is shared and
// must not be changed.
func (s *Schema) JSONSchema() *huma.Schema { return s.document }
