package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// document is our own OpenAPI document, as far as requests are made from it.
type document struct {
	Paths      map[string]map[string]operationSpec
	Components struct {
		Schemas    map[string]jsonSchema
		Parameters map[string]parameter
	}
}

type operationSpec struct {
	Parameters  []parameter
	RequestBody *struct {
		Required bool
		Content  map[string]struct{ Schema jsonSchema }
	}
	Responses map[string]struct{ Content map[string]any }
}

type parameter struct {
	Ref      string `json:"$ref"`
	Name, In string
	Required bool
	Schema   jsonSchema
}

// jsonSchema is one JSON Schema, decoded.
type jsonSchema map[string]any

// sub is the schema under a keyword.
func (s jsonSchema) sub(key string) jsonSchema {
	found, _ := s[key].(map[string]any)
	return found
}

func (s jsonSchema) strings(key string) []string {
	var list []string
	values, _ := s[key].([]any)
	for _, v := range values {
		if text, ok := v.(string); ok {
			list = append(list, text)
		}
	}
	return list
}

func (s jsonSchema) number(key string, otherwise int) int {
	if n, ok := s[key].(float64); ok {
		return int(n)
	}
	return otherwise
}

// kind is the type, without null beside it.
func (s jsonSchema) kind() string {
	if kind, ok := s["type"].(string); ok {
		return kind
	}
	for _, kind := range s.strings("type") {
		if kind != "null" {
			return kind
		}
	}
	return ""
}

// resolve follows references and takes one of several.
func (d *document) resolve(t *rapid.T, s jsonSchema) jsonSchema {
	for {
		if ref, ok := s["$ref"].(string); ok {
			s = d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
			continue
		}
		several, ok := s["oneOf"].([]any)
		if !ok {
			return s
		}
		one, _ := rapid.SampledFrom(several).Draw(t, "one of").(map[string]any)
		s = one
	}
}

// value draws a valid value.
func (d *document) value(t *rapid.T, s jsonSchema) any {
	s = d.resolve(t, s)
	if enum, ok := s["enum"].([]any); ok {
		return rapid.SampledFrom(enum).Draw(t, "enum")
	}
	switch s.kind() {
	case "object":
		return d.object(t, s)
	case "array":
		items := make([]any, rapid.IntRange(max(s.number("minItems", 0), 1), 3).Draw(t, "items"))
		for i := range items {
			items[i] = d.value(t, s.sub("items"))
		}
		return items
	case "integer":
		return rapid.IntRange(s.number("minimum", -1000), s.number("maximum", 1000)).Draw(t, "integer")
	case "boolean":
		return rapid.Bool().Draw(t, "boolean")
	case "string":
		return text(t, s)
	}
	return "anything"
}

func (d *document) object(t *rapid.T, s jsonSchema) map[string]any {
	object := make(map[string]any)
	required, properties := s.strings("required"), s.sub("properties")
	names := slices.Sorted(maps.Keys(properties))
	for _, name := range names {
		if slices.Contains(required, name) || rapid.Bool().Draw(t, "with "+name) {
			object[name] = d.value(t, properties.sub(name))
		}
	}
	for _, name := range names {
		if len(object) < s.number("minProperties", 0) {
			object[name] = d.value(t, properties.sub(name))
		}
	}
	return object
}

func text(t *rapid.T, s jsonSchema) string {
	switch s["format"] {
	case "uuid":
		// Few, so that requests meet: an id is also reused.
		return uuid.NewSHA1(uuid.NameSpaceURL, []byte{byte(rapid.IntRange(0, 50).Draw(t, "id"))}).String()
	case "email":
		return rapid.StringMatching(`[a-z]{1,10}@[a-z]{1,10}\.example`).Draw(t, "email")
	case "date":
		return time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "date"), 0).UTC().Format(time.DateOnly)
	case "date-time":
		return time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "time"), 0).UTC().Format(time.RFC3339)
	}
	if pattern, ok := s["pattern"].(string); ok {
		return rapid.StringMatching(pattern).Draw(t, "matching")
	}
	if examples, ok := s["examples"].([]any); ok && rapid.Bool().Draw(t, "as in the example") {
		if example, ok := examples[0].(string); ok {
			return example
		}
	}
	drawn := []rune(rapid.StringN(s.number("minLength", 0), min(s.number("maxLength", 40), 40), -1).Draw(t, "text"))
	return strings.ReplaceAll(string(drawn), "\x00", "0")
}

// drawn is a request as it was made up.
type drawn struct {
	method, path string
	query        url.Values
	headers      []string
	body         any // nil for none
}

func (d *document) request(t *rapid.T, method, path string, op operationSpec) drawn {
	r := drawn{method: strings.ToUpper(method), path: path, query: url.Values{}}
	for _, p := range op.Parameters {
		if !p.Required && !rapid.Bool().Draw(t, "with "+p.Name) {
			continue
		}
		value := fmt.Sprint(d.value(t, p.Schema))
		switch {
		case p.In == "path":
			if p.Name == "name" {
				value = "users"
			}
			r.path = strings.ReplaceAll(r.path, "{"+p.Name+"}", url.PathEscape(value))
		case p.In == "query":
			r.query.Set(p.Name, value)
		case regexp.MustCompile(`^[!-~]+$`).MatchString(value):
			r.headers = append(r.headers, p.Name+": "+value)
		case p.Required:
			r.headers = append(r.headers, p.Name+": k")
		}
	}
	if op.RequestBody != nil && (op.RequestBody.Required || rapid.Bool().Draw(t, "with a body")) {
		r.body = d.value(t, op.RequestBody.Content["application/json"].Schema)
	}
	return r
}

func (a *api) send(t *rapid.T, r drawn) answer {
	body := ""
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			t.Fatal(err)
		}
		body = string(text)
	}
	path := r.path
	if len(r.query) > 0 {
		path += "?" + r.query.Encode()
	}
	return a.do(r.method, path, body, r.headers...)
}

// Requests made from the document are never too much for the program: valid ones
// get an answer that is documented, and never a failure of the server.
func TestValidRequestsNeverFailTheServer(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.eachOperation(t, func(t *rapid.T, d *document, method, path string, op operationSpec) {
		r := d.request(t, method, path, op)
		got := a.send(t, r)
		if got.status >= 500 && got.code() != "view-behind" {
			t.Fatalf("%+v\n%d %s", r, got.status, got.body)
		}
		if _, documented := op.Responses[fmt.Sprint(got.status)]; !documented {
			t.Fatalf("%+v\n%d is not documented: %s", r, got.status, got.body)
		}
		if got.status >= 400 && got.header.Get("Content-Type") != "application/problem+json" {
			t.Fatalf("%+v\n%d %v %s", r, got.status, got.header, got.body)
		}
	})
}

// The same requests with one thing wrong are refused, with a problem.
func TestInvalidRequestsAreRefused(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.eachOperation(t, func(t *rapid.T, d *document, method, path string, op operationSpec) {
		r := d.request(t, method, path, op)
		what := d.spoil(t, &r, op)
		if what == "" {
			return
		}
		if got := a.send(t, r); got.status < 400 || got.status >= 500 || got.header.Get("Content-Type") != "application/problem+json" || got.code() == "" {
			t.Fatalf("%s: %+v\n%d %s", what, r, got.status, got.body)
		}
	})
}

// eachOperation draws requests for each operation that is no stream. A failure
// prints the seed to repeat it by.
func (a *api) eachOperation(t *testing.T, check func(t *rapid.T, d *document, method, path string, op operationSpec)) {
	t.Helper()
	d := new(document)
	a.get("/openapi.json").into(t, d)
	for _, methods := range d.Paths {
		for _, op := range methods {
			for i, p := range op.Parameters {
				if p.Ref != "" {
					op.Parameters[i] = d.Components.Parameters[strings.TrimPrefix(p.Ref, "#/components/parameters/")]
				}
			}
		}
	}
	tried := 0
	for path := range d.Paths {
		for method, op := range d.Paths[path] {
			if _, endless := op.Responses["200"].Content["text/event-stream"]; endless {
				continue
			}
			tried++
			rapid.Check(t, func(t *rapid.T) { check(t, d, method, path, op) })
		}
	}
	if tried < 15 {
		t.Errorf("only %d operations were tried", tried)
	}
}

// spoil makes one thing of a request wrong and says what; nothing where nothing
// can be.
func (d *document) spoil(t *rapid.T, r *drawn, op operationSpec) string {
	ways := make(map[string]func())
	if strings.HasPrefix(r.path, "/v1/") { // what asks for a probe may say what it likes
		ways["an unknown parameter"] = func() { r.query.Set("unknown", "1") }
	}
	for _, p := range op.Parameters {
		if s := d.resolve(t, p.Schema); p.In == "query" && (s.kind() == "integer" || s["enum"] != nil || s["format"] != nil) {
			ways["a wrong "+p.Name] = func() { r.query.Set(p.Name, "x!") }
		}
	}
	if object, ok := first(r.body).(map[string]any); ok {
		ways["an unknown field"] = func() { object["unknown"] = 1 }
		for _, name := range slices.Sorted(maps.Keys(object)) {
			ways["a wrong type of "+name] = func() { object[name] = []any{[]any{}} }
		}
		for _, name := range d.demanded(t, op, object) {
			ways["no "+name] = func() { delete(object, name) }
		}
	}
	if op.RequestBody != nil {
		ways["another body"] = func() { r.body = rapid.SampledFrom([]any{1, "x", true, []any{1}}).Draw(t, "body") }
	}
	if len(ways) == 0 {
		return ""
	}
	what := rapid.SampledFrom(slices.Sorted(maps.Keys(ways))).Draw(t, "what is wrong")
	ways[what]()
	return what
}

// first is the first of an array, or the value itself.
func first(v any) any {
	if list, ok := v.([]any); ok && len(list) > 0 {
		return list[0]
	}
	return v
}

// demanded are the fields that a body must have.
func (d *document) demanded(t *rapid.T, op operationSpec, object map[string]any) []string {
	if name, ok := object["name"].(string); ok && object["aggregate_id"] != nil && strings.Contains(name, ".") {
		return []string{"id", "aggregate_id", "name", "payload"}
	}
	return d.resolve(t, op.RequestBody.Content["application/json"].Schema).strings("required")
}
