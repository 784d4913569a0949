// Package httpapi is the HTTP edge: everything between a socket and a handler
// that speaks Go types, and nothing of any domain.
//
//	socket -> edge (id, limits, deadline, scope, query) -> handler -> answer or problem
//
// Routes are declared through huma on gin, so the specification, the
// validation and the problems come from the same types; the hot append route
// is a plain handler ([Group.Raw]) behind the same edge.
//
// It guarantees that every error leaves as an RFC 9457 problem with a stable
// code, that no answer shows a cause, that each request is bounded in size and
// time, and that no route is served without a declared scope. It does not
// decide who may do what: [Options].Authorize does. What is no request at all
// (unreadable request lines, two lengths) leaves as a problem too, though no
// handler, metric or log line knows of it; headers that never end are not
// answered, their connection is closed.
package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"onepg/internal/eventsourcing"
)

// Options are what the edge needs from the program around it. Logger, Clock
// and Metrics are required.
type Options struct {
	Logger *slog.Logger
	// Clock measures how long requests take. Network deadlines use the real
	// clock whatever it says.
	Clock   func() time.Time
	Limits  Limits
	Metrics *prometheus.Registry
	// Version is shown at / and in the specification; answers carry no Server
	// header.
	Version string
	// Ready reports what keeps the program from serving; nil means nothing can.
	// The Message of a fault.Error is shown by /readyz, any other text is not.
	Ready func(context.Context) error
	// Authorize decides whether a request may use a scope, and may add what it
	// found out to the context it returns. Nil lets everybody in; public
	// routes never ask it. A stream asks again every few seconds while it
	// lasts, and ends when the answer is no longer yes.
	Authorize func(r *http.Request, scope Scope) (context.Context, error)
	// Origins are the web pages that browsers let use the API, each as
	// scheme://host:port; none by default.
	Origins []string
	// CheckBody sees every JSON body of a typed route before it is decoded and
	// refuses what a lenient decoder would let through. Raw routes check their
	// own.
	CheckBody func(body []byte) error
	// Translate gives the errors of what lies behind the handlers their meaning,
	// such as a database that is away. It returns what it does not know.
	Translate func(error) error
	// Events are all that the log may hold. They are for the specification: what
	// an answer shows of the log is one of them.
	Events []eventsourcing.EventType
	// SeparateOps leaves /metrics out of the API because OpsHandler is served
	// on an address of its own.
	SeparateOps bool
}

// API collects routes until it is served. Registering is for one goroutine at
// start; serving is safe for any number.
type API struct {
	opts     Options
	engine   *gin.Engine
	huma     huma.API
	metrics  *metrics
	streams  streamSlots
	routes   []*route
	pages    []pages
	failures []error

	// draining ends when the server begins to shut down.
	draining context.Context //nolint:containedctx // a signal that streams derive from, not a request's context
	drain    context.CancelFunc
	spec     func() ([]byte, error)
}

// New builds an API with its operational routes. It fails when a required
// option is missing or the metrics are already registered.
func New(opts Options) (*API, error) {
	if opts.Logger == nil || opts.Clock == nil || opts.Metrics == nil {
		return nil, errors.New("httpapi: Logger, Clock and Metrics are required")
	}
	opts.Limits = opts.Limits.withDefaults()
	m, err := newMetrics(opts.Metrics)
	if err != nil {
		return nil, err
	}
	gin.SetMode(gin.ReleaseMode)
	a := &API{opts: opts, engine: gin.New(), metrics: m}
	a.streams.free.Store(int64(opts.Limits.StreamClients))
	a.draining, a.drain = context.WithCancel(context.Background())
	a.engine.HandleMethodNotAllowed = true
	// Why: a redirect would answer a mistyped path with a body that is no problem.
	a.engine.RedirectTrailingSlash = false
	if err := a.engine.SetTrustedProxies(nil); err != nil {
		return nil, err //nolint:wrapcheck // gin's own words; nil cannot fail
	}
	a.huma = huma.NewAPI(humaConfig(opts.Version), &adapter{api: a})
	a.describeEvents(opts.Events)
	a.spec = sync.OnceValues(a.marshalSpec)
	a.mountUnmatched()
	a.mountOps()
	return a, a.Err()
}

// Handler serves the API without a listener of its own. Network deadlines and
// shutdown belong to [API.Serve].
func (a *API) Handler() http.Handler { return a.engine }

// Err joins everything that was wrong with the registered routes; nil when the
// API can be served.
func (a *API) Err() error { return errors.Join(a.failures...) }

// Schemas is where the types of raw routes are registered, so that they appear
// in the specification beside the typed ones.
func (a *API) Schemas() huma.Registry { return a.huma.OpenAPI().Components.Schemas }
