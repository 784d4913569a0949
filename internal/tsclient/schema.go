package tsclient

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// typeOf is the TypeScript of a schema, on lines indented by indent after the
// first.
func typeOf(s node, indent string) string {
	switch {
	case s.text("$ref") != "":
		return refName(s)
	case len(s.list("enum")) > 0:
		return literals(s.list("enum"))
	case len(s.list("oneOf")) > 0:
		return joined(s.list("oneOf"), " | ", indent)
	case len(s.list("allOf")) > 0:
		return joined(s.list("allOf"), " & ", indent)
	}
	var alternatives []string
	for _, name := range s.texts("type") {
		alternatives = append(alternatives, plainType(name, s, indent))
	}
	if len(alternatives) == 0 {
		return "unknown"
	}
	return strings.Join(alternatives, " | ")
}

func refName(s node) string {
	ref := s.text("$ref")
	return ref[strings.LastIndexByte(ref, '/')+1:]
}

func plainType(name string, s node, indent string) string {
	switch name {
	case "integer", "number":
		return "number"
	case "string", "boolean", "null":
		return name
	case "array":
		items := typeOf(s.node("items"), indent)
		if strings.ContainsAny(items, "|&{") {
			return "Array<" + items + ">"
		}
		return items + "[]"
	case "object":
		return objectType(s, indent)
	}
	return "unknown"
}

func objectType(s node, indent string) string {
	properties := s.node("properties")
	if len(properties) == 0 {
		return "Record<string, unknown>"
	}
	deeper := indent + "  "
	var b strings.Builder
	b.WriteString("{\n")
	for _, name := range properties.keys() {
		property := properties.node(name)
		optional := "?"
		if slices.Contains(s.texts("required"), name) {
			optional = ""
		}
		b.WriteString(comment(property.text("description"), deeper))
		b.WriteString(deeper + key(name) + optional + ": " + typeOf(property, deeper) + ";\n")
	}
	if s.flag("additionalProperties") {
		b.WriteString(deeper + "[more: string]: unknown;\n")
	}
	b.WriteString(indent + "}")
	if least, _ := s["minProperties"].(float64); least > 0 && len(s.texts("required")) == 0 {
		return "AtLeastOne<" + b.String() + ">"
	}
	return b.String()
}

func joined(parts []any, with, indent string) string {
	types := make([]string, len(parts))
	for i, part := range parts {
		types[i] = typeOf(asNode(part), indent)
		if with == " & " && strings.Contains(types[i], " | ") {
			types[i] = "(" + types[i] + ")"
		}
	}
	return strings.Join(types, with)
}

func literals(values []any) string {
	texts := make([]string, len(values))
	for i, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			return "unknown" // what came from JSON goes into JSON
		}
		texts[i] = string(text)
	}
	return strings.Join(texts, " | ")
}

var identifier = regexp.MustCompile(`^[A-Za-z_$][\w$]*$`)

// key is a property's name as it is written.
func key(name string) string {
	if identifier.MatchString(name) {
		return name
	}
	return quoted(name)
}

func quoted(text string) string { return literals([]any{text}) }

// comment is the documentation of what comes next.
func comment(text, indent string) string {
	if text == "" {
		return ""
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "*/", "* /"), "\n", " ")
	return indent + "/** " + text + " */\n"
}
