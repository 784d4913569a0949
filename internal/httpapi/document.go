package httpapi

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// about opens the specification: what holds for every route.
const about = `Events go in, views come out. Clients make the ids, so every request can be
repeated: the answer is then the first one again.

* Every error is an RFC 9457 problem; branch on its code.
* A 503 or a broken connection loses nothing that is known: repeat the request
  with the same ids, after Retry-After where it is given.
* HEAD is answered wherever GET is. Unknown query parameters are refused.
* Times are RFC 3339 in UTC with microseconds, ids are UUIDs in lower case.
* This document and the page /docs, which shows it, are public.
* Ignore fields, events and codes that you do not know: there may be more of
  them one day.`

// commonHeaders are the headers that answers share.
func commonHeaders() map[string]*huma.Param {
	text := func(description, example string) *huma.Param {
		return &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString, Examples: []any{example}}}
	}
	always := func(p *huma.Param) *huma.Param {
		p.Required = true
		return p
	}
	soonest := 1.0
	return map[string]*huma.Param{
		"X-Request-ID":       always(text("Names the request in the log: the client's own, or one made here.", "0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0c01")),
		"ETag":               always(text("The version, in quotes.", `"3"`)),
		"Location":           text("Where to read what came of the request.", "/v1/events/0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"),
		"Link":               text(`The next page, as rel="next"; only while there is one (RFC 8288).`, `</v1/users?cursor=eyJr>; rel="next"`),
		"Preference-Applied": text("wait=N, where the views had caught up in time (RFC 7240).", "wait=5"),
		"WWW-Authenticate":   always(text("How to prove who one is.", "Bearer")),
		"Cache-Control":      text("How long the answer may be kept.", "private, no-cache"),
		"Retry-After": {
			Required:    true,
			Description: "Seconds after which to repeat the request, with the same ids.",
			Schema:      &huma.Schema{Type: huma.TypeInteger, Minimum: &soonest, Examples: []any{1}},
		},
	}
}

func headerRef(name string) *huma.Param {
	return &huma.Param{Ref: "#/components/headers/" + canonical(name)}
}

// canonical gives a common header as the standards spell it; net/http knows
// only one way.
func canonical(name string) string {
	switch name {
	case "Www-Authenticate":
		return "WWW-Authenticate"
	case requestIDHeader:
		return "X-Request-ID"
	case "Etag":
		return "ETag"
	}
	return name
}

// commonParameters are headers that every request may have.
func commonParameters() map[string]*huma.Param {
	word := func(name, description string) *huma.Param {
		longest := longestID
		return &huma.Param{
			Name: name, In: "header", Description: description,
			Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &longest, Pattern: `^[!-~]+$`},
		}
	}
	return map[string]*huma.Param{
		"RequestID": word("X-Request-ID", "A name for the request of the client's own, in visible ASCII characters. The answer repeats it."),
		"CorrelationID": word("X-Correlation-ID", "The story that the request belongs to, in visible ASCII characters. "+
			"Becomes metadata.correlation_id of the events that the request makes, unless they have one."),
		"CausationID": word("X-Causation-ID", "The event or command that made the request happen, in visible ASCII characters. "+
			"Becomes metadata.causation_id of the events that the request makes, unless they have one."),
		"Traceparent": {
			Name: "traceparent", In: "header",
			Description: "W3C Trace Context. Its trace id becomes metadata.trace_id of the events that the request makes.",
			Schema: &huma.Schema{
				Type: huma.TypeString, Examples: []any{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
			},
		},
	}
}

// complete adds to the document what is the same everywhere. It comes last,
// when all routes are there.
func (a *API) complete() {
	doc := a.huma.OpenAPI()
	doc.Info.Description = about
	doc.Info.License = &huma.License{Name: "MIT", Identifier: "MIT"}
	doc.Servers = []*huma.Server{{URL: "/", Description: "The server that this document came from."}}
	doc.Components.Headers, doc.Components.Parameters = commonHeaders(), commonParameters()
	doc.Components.Responses = make(map[string]*huma.Response)
	tags := make(map[string]bool)
	for path := range doc.Paths {
		item := doc.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post} {
			if op == nil {
				continue
			}
			a.completeOperation(op)
			for _, tag := range op.Tags {
				tags[tag] = true
			}
		}
	}
	doc.Tags = nil
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		doc.Tags = append(doc.Tags, &huma.Tag{Name: name, Description: cmp.Or(tagDescriptions()[name], "The domain "+name+": its events, views and commands.")})
	}
}

// tagDescriptions describe the routes that belong to no domain.
func tagDescriptions() map[string]string {
	return map[string]string{
		"events":     "The log: every event of every domain, in one order.",
		"views":      "How the views stand, and what mends them.",
		"operations": "What operators and tools ask.",
	}
}

func (a *API) completeOperation(op *huma.Operation) {
	if op.RequestBody != nil {
		if media := op.RequestBody.Content["application/json"]; media != nil && media.Example == nil && len(media.Examples) == 0 {
			media.Example = a.example(media.Schema)
		}
	}
	for _, p := range op.Parameters {
		p.Schema = undescribed(p.Schema)
	}
	for _, name := range slices.Sorted(maps.Keys(commonParameters())) {
		op.Parameters = append(op.Parameters, &huma.Param{Ref: "#/components/parameters/" + name})
	}
	a.shareProblems(op)
	for _, response := range op.Responses {
		if response.Ref == "" {
			completeResponse(response)
		}
	}
}

func completeResponse(response *huma.Response) {
	common := commonHeaders()
	if response.Headers == nil {
		response.Headers = make(map[string]*huma.Param)
	}
	response.Headers["X-Request-ID"] = headerRef("X-Request-ID")
	for name, header := range response.Headers {
		if _, known := common[canonical(name)]; known {
			delete(response.Headers, name)
			response.Headers[canonical(name)] = headerRef(name)
		} else {
			header.Schema = undescribed(header.Schema)
		}
	}
}

// shareProblems moves the answers of a status that stands for one problem to
// where all operations find them.
func (a *API) shareProblems(op *huma.Operation) {
	shared := a.huma.OpenAPI().Components.Responses
	for status, response := range op.Responses {
		code := strings.Trim(response.Description, "`")
		if response.Content[problemType] == nil || strings.Contains(code, "`") {
			continue
		}
		name := componentName(strings.ReplaceAll(code, "-", "_")) + status
		if shared[name] == nil {
			shared[name] = response
			completeResponse(response)
		}
		op.Responses[status] = &huma.Response{Ref: "#/components/responses/" + name}
	}
}

// example makes a value from the examples of a schema's parts; nil where there
// are none.
func (a *API) example(s *huma.Schema) any {
	if s != nil && s.Ref != "" {
		s = a.Schemas().SchemaFromRef(s.Ref)
	}
	switch {
	case s == nil:
		return nil
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.Properties) == 0:
		return nil
	}
	object := make(map[string]any)
	for name, property := range s.Properties {
		if value := a.example(property); value != nil {
			object[name] = value
		}
	}
	return object
}

// undescribed is the schema without the description that huma repeats from
// what it is the schema of.
func undescribed(s *huma.Schema) *huma.Schema {
	if s == nil || s.Description == "" {
		return s
	}
	bare := *s
	bare.Description = ""
	return &bare
}
