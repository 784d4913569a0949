package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
)

// route is what the edge knows about a registered path before a request comes.
type route struct {
	api      *API
	method   string
	path     string
	scope    Scope
	id       string
	hidden   bool
	anyQuery bool
	stream   bool
	body     bool // the specification has a request body
	fresh    bool // the handler honours If-None-Match
	params   params
	metrics  *routeMetrics
}

// RouteInfo is one line of the routes table.
type RouteInfo struct {
	Method string
	Path   string
	Scope  Scope
	// ID is the operationId; empty for routes outside the specification.
	ID string
}

// Routes lists what is served, by path and method. HEAD goes with GET and is
// not listed.
func (a *API) Routes() []RouteInfo {
	list := make([]RouteInfo, 0, len(a.routes))
	for _, rt := range a.routes {
		list = append(list, RouteInfo{Method: rt.method, Path: rt.path, Scope: rt.scope, ID: rt.id})
	}
	slices.SortFunc(list, func(x, y RouteInfo) int {
		return cmp.Or(strings.Compare(x.Path, y.Path), strings.Compare(x.Method, y.Method))
	})
	return list
}

// guard checks a declaration and runs its registration. huma and gin panic
// about types and paths they cannot take; here that is an error like the rest.
func (a *API) guard(g *Group, op Operation, register func(*route)) {
	rt := &route{
		api: a, method: op.Method, path: g.prefix + op.Path, scope: op.Scope, id: op.ID,
		hidden: op.Hidden, anyQuery: op.AnyQuery, stream: op.EventStream,
	}
	defer func() {
		if cause := recover(); cause != nil {
			a.failures = append(a.failures, fmt.Errorf("route %s %s: %v", rt.method, rt.path, cause))
		}
	}()
	if err := a.check(rt); err != nil {
		a.failures = append(a.failures, fmt.Errorf("route %s %s: %w", rt.method, rt.path, err))
		return
	}
	rt.metrics = a.metrics.of(rt.method, rt.path)
	a.routes = append(a.routes, rt)
	register(rt)
}

func (a *API) check(rt *route) error {
	var problems []error
	if rt.method == "" || !strings.HasPrefix(rt.path, "/") {
		problems = append(problems, errors.New("needs a method, and a path that begins with a slash"))
	}
	if rt.scope == "" {
		problems = append(problems, errors.New("declares no scope; say Public if anybody may use it"))
	}
	if scope := regexp.MustCompile(`^[a-z][a-z_]*:[a-z]+$`); rt.scope != "" && rt.scope != Public && !scope.MatchString(string(rt.scope)) {
		problems = append(problems, fmt.Errorf("scope %q is not of the form domain:verb", rt.scope))
	}
	if !rt.hidden && rt.id == "" {
		problems = append(problems, errors.New("has no ID; clients are generated from it"))
	}
	for _, other := range a.routes {
		if other.method == rt.method && other.path == rt.path {
			problems = append(problems, errors.New("is registered twice"))
		} else if rt.id != "" && other.id == rt.id {
			problems = append(problems, fmt.Errorf("shares its ID %q with %s %s", rt.id, other.method, other.path))
		}
	}
	return errors.Join(problems...)
}

// mount puts a handler behind the edge, for HEAD too where it reads.
func (a *API) mount(rt *route, h func(*gin.Context) error) {
	run := func(c *gin.Context) {
		if err := h(c); err != nil {
			a.answerError(c, err)
		}
	}
	a.engine.Handle(rt.method, ginPath(rt.path), a.edge(rt), run)
	if rt.method != http.MethodGet {
		return
	}
	head := *rt
	head.method = http.MethodHead
	head.metrics = a.metrics.of(http.MethodHead, rt.path)
	if rt.stream {
		// Why: the handler would write to nobody for ever.
		run = func(c *gin.Context) { c.Header("Content-Type", "text/event-stream") }
	}
	a.engine.Handle(http.MethodHead, ginPath(rt.path), a.edge(&head), run)
}

// ginPath turns {id} into :id and {path...} into *path.
func ginPath(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		name, isParam := strings.CutPrefix(strings.TrimSuffix(s, "}"), "{")
		switch {
		case !isParam:
		case strings.HasSuffix(name, "..."):
			segments[i] = "*" + strings.TrimSuffix(name, "...")
		default:
			segments[i] = ":" + name
		}
	}
	return strings.Join(segments, "/")
}
