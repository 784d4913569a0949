package httpapi

import (
	"context"
	"maps"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"onepg/internal/fault"
)

// Scope is the permission a route asks for, "<domain>:read" or the like.
type Scope string

// Public marks a route anybody may use. It is spelled out because a forgotten
// scope must be an error, not an open door.
const Public Scope = "public"

// Operation declares a route: where it is, who may use it, and what the
// specification says about it. Parameters, body and answer come from the
// handler's types.
type Operation struct {
	// Method is set by Get and Post; raw routes set it themselves.
	Method string
	// Path is relative to the group, with parameters in braces: "/{id}". The
	// last parameter of a hidden raw route may be "{path...}".
	Path string
	// Scope is mandatory; see Public.
	Scope Scope
	// ID is the operationId, unique over the API; clients are generated from it.
	ID          string
	Summary     string
	Description string
	// Tags default to the group's domain.
	Tags []string
	// Status of a success; 200 with a body and 204 without one by default.
	Status int
	// Repeats tells that a request that only repeats an earlier one is answered
	// with 200 instead of Status.
	Repeats bool
	// Problems are the refusals of the route's own. Those of the edge (bad
	// parameters, access, limits) are added.
	Problems []Refusal
	// EventStream marks an open-ended text/event-stream. Its context ends when
	// the server shuts down instead of after the answer timeout, its write
	// deadline is the handler's to set, and HEAD answers its headers alone.
	EventStream bool
	// Hidden keeps the route out of the specification; its query is not checked.
	Hidden bool
	// AnyQuery leaves the query unchecked of a route that takes none.
	AnyQuery bool
	// Describe completes the specification with what no type shows: all of a raw
	// route's parameters, body and answers, and the messages of a stream.
	Describe func(*huma.Operation)
}

// Refusal is a problem a route may answer with, for its specification.
type Refusal struct {
	Kind fault.Kind
	Code string
}

// Group registers the routes below one path: a domain's below /v1/<domain>
// ([API.Group]), pages and files elsewhere ([API.Pages], [API.Root]). What is
// wrong with a registration is kept and reported by [API.Err], so that
// declarations stay declarations.
type Group struct {
	api    *API
	prefix string
	domain string
}

// Group opens the routes below /v1/<domain>.
func (a *API) Group(domain string) *Group {
	return &Group{api: a, prefix: "/v1/" + domain, domain: domain}
}

// root opens the routes outside /v1: pages and files, not API.
func (a *API) root() *Group { return &Group{api: a, domain: "operations"} }

// Get registers a typed read. I declares parameters, O the answer, both with
// huma's struct tags. HEAD is answered too.
func Get[I, O any](g *Group, op Operation, h func(context.Context, *I) (*O, error)) {
	op.Method = http.MethodGet
	register(g, op, h)
}

// Post registers a typed write. The handler may return a fault.Error, which
// becomes the problem it describes; anything else is a 500.
func Post[I, O any](g *Group, op Operation, h func(context.Context, *I) (*O, error)) {
	op.Method = http.MethodPost
	register(g, op, h)
}

// Raw registers a plain gin handler behind the same edge as every other route.
// An error it returns before writing becomes a problem; after that, one nobody
// foresaw cuts the connection.
func (g *Group) Raw(op Operation, h func(*gin.Context) error) {
	g.api.guard(g, op, func(rt *route) {
		spec := g.api.operation(rt, op)
		if op.Describe != nil {
			op.Describe(spec)
		}
		rt.learn(spec)
		if !op.Hidden {
			g.api.document(rt, op, spec)
			g.api.huma.OpenAPI().AddOperation(spec)
		}
		g.api.mount(rt, h)
	})
}

func register[I, O any](g *Group, op Operation, h func(context.Context, *I) (*O, error)) {
	a := g.api
	a.guard(g, op, func(rt *route) {
		spec := a.operation(rt, op)
		if op.Describe != nil {
			op.Describe(spec)
		}
		rt.inspect(any(new(I)))
		a.document(rt, op, spec)
		huma.Register(a.huma, *spec, func(ctx context.Context, in *I) (*O, error) {
			out, err := h(ctx, in)
			if err != nil {
				return nil, a.problem(ctx, err)
			}
			return out, nil
		})
		if op.Repeats {
			again := *spec.Responses[strconv.Itoa(op.Status)]
			again.Description, again.Headers = "Done before: the original answer.", maps.Clone(again.Headers)
			spec.Responses[strconv.Itoa(http.StatusOK)] = &again
		}
	})
}
