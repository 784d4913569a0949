package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// generate lets huma make the JSON Schema. Huma panics on a tag it cannot read.
func generate(t reflect.Type) (s *huma.Schema, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("huma: %v", cause)
		}
	}()
	registry := inline{huma.NewMapRegistry("", huma.DefaultSchemaNamer)}
	s = registry.Schema(t, false, "")
	s.PrecomputeMessages() // so that huma itself can use the corrected schema
	return s, nil
}

// inline is a registry without references: each use of a type is a schema of
// its own, which the tags of the field may then narrow. It also corrects what
// huma assumes about servers' own types but does not hold for input.
type inline struct{ huma.Registry }

// Schema makes the schema of one use of a type.
func (r inline) Schema(t reflect.Type, _ bool, _ string) *huma.Schema {
	s := huma.SchemaFromType(r, t)
	// Why: huma calls every slice and bare pointer nullable because Go may
	// write null for it. What a client may send is said by the nullable tag.
	s.Nullable = false
	t = pointee(t)
	if t == reflect.TypeFor[uuid.UUID]() {
		s.Format = "uuid"
	}
	if s.Type == huma.TypeObject {
		s.Required = slices.DeleteFunc(s.Required, func(name string) bool { return isOptionalPointer(t, name) })
	}
	return s
}

// isOptionalPointer tells a pointer field that no tag requires. Huma requires it
// for want of omitempty, which is about writing.
func isOptionalPointer(t reflect.Type, name string) bool {
	for i := range t.NumField() {
		if f := t.Field(i); jsonName(f) == name {
			return f.Type.Kind() == reflect.Pointer && f.Tag.Get("required") == ""
		}
	}
	return false
}

// jsonName is the name a field has in JSON, and "" for one that has none.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if !f.IsExported() || name == "-" {
		return ""
	}
	return name
}

// inspect refuses, before huma sees it, whatever of a type would be ignored.
// The path holds the types being inspected, to find one that contains itself.
func inspect(t reflect.Type, path []reflect.Type) error {
	t = pointee(t)
	if slices.Contains(path, t) {
		return fmt.Errorf("%s contains itself", t)
	}
	if isScalar(t) {
		return nil
	}
	switch {
	case isCustom(t):
		return fmt.Errorf("%s has a JSON form of its own, which no tag describes", t)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return inspect(t.Elem(), append(path, t))
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if err := inspectField(t.Field(i), append(path, t)); err != nil {
				return fmt.Errorf("field %s: %w", t.Field(i).Name, err)
			}
		}
		return nil
	}
	return fmt.Errorf("type %s is not supported", t)
}

func inspectField(f reflect.StructField, path []reflect.Type) error {
	if f.Anonymous {
		return errors.New("embedded types are not supported; give the field a name")
	}
	if !f.IsExported() {
		if f.Tag != "" {
			return errors.New("tags on a field that is not exported have no effect")
		}
		return nil
	}
	if f.Tag.Get("json") == "-" {
		return nil
	}
	for _, key := range tagKeys(string(f.Tag)) {
		if !isKnownTag(key) {
			return fmt.Errorf("tag %q is not supported", key)
		}
		if f.Tag.Get(key) == "" {
			return fmt.Errorf("tag %q is empty", key)
		}
	}
	if err := inspectJSONTag(f.Tag.Get("json")); err != nil {
		return err
	}
	return inspect(f.Type, path)
}

func inspectJSONTag(tag string) error {
	name, rest, _ := strings.Cut(tag, ",")
	if name == "" || name == "-" {
		return errors.New("the json tag must give a name")
	}
	for option := range strings.SplitSeq(rest, ",") {
		if option != "" && option != "omitempty" && option != "omitzero" {
			return fmt.Errorf("json option %q is not supported", option)
		}
	}
	return nil
}

func isKnownTag(key string) bool {
	switch key {
	case "json", "required", "nullable", "doc", "example", "deprecated",
		"minLength", "maxLength", "pattern", "patternDescription", "enum", "format",
		"minimum", "maximum", "minItems", "maxItems", "minProperties":
		return true
	}
	return false
}

// tagKeys lists the keys of a tag in the conventional form key:"value". What
// has another form is a key of its own, so that it is found to be unknown.
func tagKeys(tag string) []string {
	var keys []string
	for tag = strings.TrimSpace(tag); tag != ""; tag = strings.TrimSpace(tag) {
		key, rest, found := strings.Cut(tag, `:"`)
		if !found {
			return append(keys, tag)
		}
		keys = append(keys, key)
		for {
			value, after, closed := strings.Cut(rest, `"`)
			rest = after
			if !closed || !strings.HasSuffix(value, `\`) {
				break
			}
		}
		tag = rest
	}
	return keys
}

// isScalar tells the types that are one JSON value, or any.
func isScalar(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[uuid.UUID](), reflect.TypeFor[json.RawMessage]():
		return true
	}
	switch t.Kind() { //nolint:exhaustive // The other kinds are the answer no.
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64, reflect.Float64:
		return !isCustom(t)
	default:
		return false
	}
}

// isCustom tells types that decide on their own JSON or schema.
func isCustom(t reflect.Type) bool {
	pointer := reflect.PointerTo(t)
	return pointer.Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		pointer.Implements(reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()) ||
		pointer.Implements(reflect.TypeFor[huma.SchemaProvider]()) ||
		pointer.Implements(reflect.TypeFor[huma.SchemaTransformer]())
}

func pointee(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
