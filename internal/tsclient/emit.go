package tsclient

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// emitter collects what types.d.ts consists of.
type emitter struct {
	doc node
	out strings.Builder
	// codes are those of all problems.
	codes map[string]bool
}

// reserved are the names that the file has besides those of the components.
func reserved() []string {
	return []string{"AtLeastOne", "CommonHeader", "Routes", "Posts", "Rows", "ProblemCode"}
}

// emit makes types.d.ts: an exported type for each component, the routes, which
// events can be posted where, and the views that can be waited for.
func emit(doc node) ([]byte, error) {
	e := &emitter{doc: doc, codes: make(map[string]bool)}
	info := doc.node("info")
	e.line("// Generated from the specification of " + info.text("title") + " " + info.text("version") + ". Do not edit: make it anew.")
	e.line("")
	e.line("/** At least one of the fields of T, each of which may be left out. */")
	e.line("export type AtLeastOne<T> = { [K in keyof T]-?: Required<Pick<T, K>> & Partial<Omit<T, K>> }[keyof T];")
	schemas := doc.node("components").node("schemas")
	for _, name := range schemas.keys() {
		if slices.Contains(reserved(), name) || !identifier.MatchString(name) {
			return nil, fmt.Errorf("the schema %s has a name that the client cannot use", name)
		}
		s := schemas.node(name)
		e.line("")
		e.out.WriteString(comment(s.text("description"), ""))
		e.line("export type " + name + " = " + typeOf(s, "") + ";")
	}
	e.common()
	e.routes()
	e.posts()
	e.rows()
	e.line("")
	e.line("/** What a problem can be; branch on it. */")
	e.line("export type ProblemCode = " + union(slices.Sorted(maps.Keys(e.codes))) + ";")
	return []byte(e.out.String()), nil
}

func (e *emitter) line(text string) { e.out.WriteString(text + "\n") }

// each calls f for every operation, in order.
func (e *emitter) each(f func(method, path string, op node)) {
	paths := e.doc.node("paths")
	for _, path := range paths.keys() {
		for _, method := range paths.node(path).keys() {
			f(strings.ToUpper(method), path, paths.node(path).node(method))
		}
	}
}

// routes writes what each route takes and gives. Streams have methods of their
// own.
func (e *emitter) routes() {
	e.line("")
	e.line("/** What each route takes and answers. */")
	e.line("export interface Routes {")
	e.each(func(method, path string, op node) {
		codes := e.problemCodes(op)
		answer, ok := answerOf(op)
		if !ok {
			return
		}
		e.out.WriteString(comment(strings.TrimSpace(op.text("summary")+". "+op.text("description")), "  "))
		e.line("  " + quoted(method+" "+path) + ": {")
		for _, place := range []string{"path", "query", "header"} {
			e.line("    " + place + ": " + e.parameters(op, place) + ";")
		}
		body := "undefined"
		if request := op.node("requestBody"); request != nil {
			body = typeOf(request.node("content").node("application/json").node("schema"), "    ")
			if !request.flag("required") {
				body += " | undefined"
			}
		}
		e.line("    body: " + body + ";")
		e.line("    answer: " + answer + ";")
		e.line("    problem: " + union(codes) + ";")
		e.line("  };")
	})
	e.line("}")
}

// answerOf is the type of an operation's success; none for what is not JSON.
func answerOf(op node) (string, bool) {
	types := map[string]bool{}
	for status, v := range op.node("responses") {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		content := asNode(v).node("content")
		media := content.node("application/json")
		switch {
		case media != nil:
			types[typeOf(media.node("schema"), "    ")] = true
		case len(content) == 0:
			types["undefined"] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(types)), " | "), len(types) > 0
}

// parameters are those in the path, the query or the headers. Those that the
// runtime sets by itself can be left out, and those that it handles are.
func (e *emitter) parameters(op node, place string) string {
	object := node{"type": "object", "properties": map[string]any{}}
	var required []any
	for _, v := range op.list("parameters") {
		p := asNode(v)
		name := p.text("name")
		if p.text("in") != place || name == "If-None-Match" { // a 304 is for the cache below fetch
			continue
		}
		object.node("properties")[name] = parameterSchema(p)
		if p.flag("required") && name != "Idempotency-Key" {
			required = append(required, name)
		}
	}
	object["required"] = required
	own, none := objectType(object, "    "), len(object.node("properties")) == 0
	switch {
	case place == "header" && none:
		return "CommonHeader"
	case place == "header":
		return "CommonHeader & " + own
	case none:
		return "Record<string, never>"
	}
	return own
}

func parameterSchema(p node) map[string]any {
	s := maps.Clone(p.node("schema"))
	s["description"] = p.text("description")
	return s
}

// common writes the headers that every request may have.
func (e *emitter) common() {
	object := node{"type": "object", "properties": map[string]any{}}
	for _, v := range e.doc.node("components").node("parameters") {
		object.node("properties")[asNode(v).text("name")] = parameterSchema(asNode(v))
	}
	e.line("")
	e.line("/** Headers that every request may have. */")
	e.line("export type CommonHeader = " + objectType(object, "") + ";")
}

// problemCodes are those of one operation.
func (e *emitter) problemCodes(op node) []string {
	codes := make(map[string]bool)
	for _, v := range op.node("responses") {
		r := asNode(v)
		if r.text("$ref") != "" {
			r = e.doc.node("components").node("responses").node(refName(r))
		}
		for _, part := range r.node("content").node("application/problem+json").node("schema").list("allOf") {
			for _, code := range asNode(part).node("properties").node("code").texts("enum") {
				codes[code], e.codes[code] = true, true
			}
		}
	}
	return slices.Sorted(maps.Keys(codes))
}

// posts writes which events can be posted to which domain, and which of them
// create what they are about.
func (e *emitter) posts() {
	schemas := e.doc.node("components").node("schemas")
	e.line("")
	e.line("/** The events that can be posted, by domain, and those that create what they are about. */")
	e.line("export interface Posts {")
	e.each(func(method, path string, op node) {
		domain, ok := strings.CutSuffix(strings.TrimPrefix(path, "/v1/"), "/events")
		alternatives := op.node("requestBody").node("content").node("application/json").node("schema").list("oneOf")
		if !ok || method != "POST" || len(alternatives) == 0 {
			return
		}
		event := refName(asNode(alternatives[0]))
		var creating []string
		for _, one := range schemas.node(event).list("oneOf") {
			s := schemas.node(refName(asNode(one)))
			if s.text("x-lifecycle") == "creates" {
				creating = append(creating, s.node("properties").node("name").texts("enum")...)
			}
		}
		e.line("  " + key(domain) + ": { event: " + event + "; creating: " + union(creating) + " };")
	})
	e.line("}")
}

// rows writes the row types of the views that a client can wait for or follow.
func (e *emitter) rows() {
	e.line("")
	e.line("/** The rows of each domain's view. */")
	e.line("export interface Rows {")
	e.each(func(_, path string, op node) {
		for _, v := range op.list("parameters") {
			if answer, ok := answerOf(op); ok && asNode(v).text("name") == "min_version" {
				domain, _, _ := strings.Cut(strings.TrimPrefix(path, "/v1/"), "/")
				e.line("  " + key(domain) + ": " + answer + ";")
			}
		}
	})
	e.line("}")
}

func union(texts []string) string {
	if len(texts) == 0 {
		return "never"
	}
	values := make([]any, len(texts))
	for i, text := range texts {
		values[i] = text
	}
	return literals(values)
}
