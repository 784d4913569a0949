package console

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// field is one input of a form that was made from a schema.
type field struct {
	// Name is the path of the value, joined by dots.
	Name, Label, Doc, Example string
	// Kind is text, email, number, choice, bool, lines, json, or group.
	Kind     string
	Required bool
	Mono     bool
	Most     int      // characters; 0 for any number
	Options  []string // of a choice
	Fields   []field  // of a group
	Value    string
	Error    string
}

// fieldsOf makes the inputs for an object. The Go type adds the order of the
// fields, which a schema does not have.
func fieldsOf(t reflect.Type, s *huma.Schema, path string) []field {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var fields []field
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		property := s.Properties[name]
		if property == nil {
			continue
		}
		f := fieldOf(t.Field(i).Type, property, path+"."+name)
		f.Label = strings.ToUpper(name[:1]) + strings.ReplaceAll(name[1:], "_", " ")
		f.Required = slices.Contains(s.Required, name)
		fields = append(fields, f)
	}
	return fields
}

func fieldOf(t reflect.Type, s *huma.Schema, name string) field {
	f := field{Name: name, Doc: s.Description, Kind: "text", Mono: s.Format == "uuid"}
	if len(s.Examples) > 0 {
		f.Example = fmt.Sprint(s.Examples[0])
	}
	if s.MaxLength != nil {
		f.Most = *s.MaxLength
	}
	for _, option := range s.Enum {
		f.Options = append(f.Options, fmt.Sprint(option))
	}
	switch {
	case len(f.Options) > 0 && s.Type == huma.TypeString:
		f.Kind = "choice"
	case s.Type == huma.TypeBoolean:
		f.Kind, f.Options = "bool", []string{"true", "false"}
	case s.Type == huma.TypeInteger || s.Type == huma.TypeNumber:
		f.Kind = "number"
	case s.Type == huma.TypeString && s.Format == "email":
		f.Kind = "email"
	case s.Type == huma.TypeString:
	case s.Type == huma.TypeObject && len(s.Properties) > 0:
		f.Kind, f.Fields = "group", fieldsOf(t, s, name)
	case s.Type == huma.TypeArray && s.Items != nil && s.Items.Type == huma.TypeString:
		f.Kind = "lines"
	default:
		f.Kind = "json"
	}
	return f
}

// setValues fills the inputs.
func setValues(fields []field, value func(string) string) {
	for i := range fields {
		fields[i].Value = strings.TrimSpace(value(fields[i].Name))
		setValues(fields[i].Fields, value)
	}
}

// blame puts a mistake beside the input it is about, or the one above it. It
// reports false where there is none.
func blame(fields []field, name, detail string) bool {
	for i := range fields {
		f := &fields[i]
		if f.Name != name && !strings.HasPrefix(name, f.Name+".") {
			continue
		}
		if !blame(f.Fields, name, detail) {
			f.Error = strings.TrimPrefix(f.Error+"; "+detail, "; ")
		}
		return true
	}
	return false
}

// empty reports whether nothing was typed.
func (f field) empty() bool {
	return f.Value == "" && !slices.ContainsFunc(f.Fields, func(in field) bool { return !in.empty() })
}

// json is the value that the schema expects, or, where what was typed is no such
// value, the text: the rules then say what is wrong with it.
func (f field) json() string {
	switch f.Kind {
	case "group":
		return objectOf(f.Fields)
	case "lines":
		var items []string
		for line := range strings.Lines(f.Value) {
			if line = strings.TrimSpace(line); line != "" {
				items = append(items, text(line))
			}
		}
		return "[" + strings.Join(items, ",") + "]"
	case "number", "json", "bool":
		if json.Valid([]byte(f.Value)) {
			return f.Value
		}
	}
	return text(f.Value)
}

// objectOf is the object that the inputs make. What is empty and not required
// is left out.
func objectOf(fields []field) string {
	var members []member
	for _, f := range fields {
		if f.Required || !f.empty() {
			members = append(members, member{lastPart(f.Name), f.json()})
		}
	}
	return object(members)
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// member is a name and a value that is JSON.
type member struct{ name, value string }

func object(members []member) string {
	parts := make([]string, len(members))
	for i, m := range members {
		parts[i] = text(m.name) + ":" + m.value
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// text is a string as JSON.
func text(s string) string { return written(s) }
