package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"onepg/internal/fault"
)

// readyTimeout is shorter than the patience of the usual probes, so that they
// see why and not only that.
const readyTimeout = 2 * time.Second

// mountUnmatched answers what no route takes. gin has set Allow by then.
func (a *API) mountUnmatched() {
	// Why one name for all: paths of strangers must not become labels.
	rt := &route{api: a, method: "other", path: "unmatched", scope: Public, metrics: a.metrics.of("other", "unmatched")}
	a.engine.NoRoute(a.edge(rt), func(c *gin.Context) {
		a.fail(c, fault.New(fault.NotFound, codeNotFound, "There is nothing at this path; see /openapi.json for what there is."))
	})
	a.engine.NoMethod(a.edge(rt), func(c *gin.Context) {
		if a.preflight(c) {
			return
		}
		a.fail(c, fault.New(fault.MethodNotAllowed, codeMethodNotAllowed, "This path takes other methods; see the Allow header."))
	})
}

// mountOps registers the routes an operator needs. Their queries are not
// checked: probes and tools add what they like.
func (a *API) mountOps() {
	root := a.root()
	root.Raw(Operation{Method: http.MethodGet, Path: "/", Scope: Public, Hidden: true}, a.index)
	root.Raw(asking("/livez", Public, "get-liveness", "Whether the process is alive", statusSchema("alive")), func(c *gin.Context) error {
		return WriteJSON(c, http.StatusOK, map[string]string{"status": "alive"})
	})
	root.Raw(asking("/readyz", Public, "get-readiness", "Whether the program can serve", statusSchema("ready")), a.ready)
	root.Raw(asking(specPath, Public, "get-openapi", "This document", answers(specType, &huma.Schema{Type: huma.TypeObject})), a.serveSpec)
	if a.opts.SeparateOps {
		return
	}
	metricsHandler := a.metricsHandler()
	root.Raw(asking("/metrics", "metrics:read", "get-metrics", "What Prometheus scrapes", answers("text/plain", &huma.Schema{Type: huma.TypeString})),
		func(c *gin.Context) error {
			metricsHandler.ServeHTTP(c.Writer, c.Request)
			return nil
		})
}

const (
	specPath = "/openapi.json"
	specType = "application/vnd.oai.openapi+json;version=3.1"
)

// asking declares a route of an operator's.
func asking(path string, scope Scope, id, summary string, content map[string]*huma.MediaType) Operation {
	return Operation{
		Method: http.MethodGet, Path: path, Scope: scope, ID: id, Summary: summary,
		Tags: []string{"operations"}, AnyQuery: true,
		Describe: func(op *huma.Operation) {
			op.Responses[strconv.Itoa(http.StatusOK)] = &huma.Response{Description: http.StatusText(http.StatusOK), Content: content}
		},
	}
}

func answers(contentType string, s *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{contentType: {Schema: s}}
}

func statusSchema(value string) map[string]*huma.MediaType {
	return answers("application/json", &huma.Schema{
		Type: huma.TypeObject, Required: []string{"status"},
		Properties: map[string]*huma.Schema{"status": {Type: huma.TypeString, Enum: []any{value}}},
	})
}

// OpsHandler serves /metrics and pprof for an address only operators reach. It
// asks for no scope.
func (a *API) OpsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.metricsHandler())
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

func (a *API) metricsHandler() http.Handler {
	return promhttp.HandlerFor(a.opts.Metrics, promhttp.HandlerOpts{Registry: nil})
}

// index tells a newcomer with nothing but the address where to look: every
// route that can be read without knowing an id.
func (a *API) index(c *gin.Context) error {
	var paths []string
	for _, rt := range a.Routes() {
		p, page := a.pagesOf(rt.Path)
		inner := page && rt.Path != p.prefix // pages link to each other themselves
		if rt.Method == http.MethodGet && rt.Path != "/" && !inner && !strings.Contains(rt.Path, "{") {
			paths = append(paths, rt.Path)
		}
	}
	return WriteJSON(c, http.StatusOK, map[string]any{"name": "onepg", "version": a.opts.Version, "links": paths})
}

func (a *API) ready(c *gin.Context) error {
	if a.draining.Err() != nil {
		return fault.New(fault.Unavailable, codeUnavailable, "The server is shutting down.")
	}
	if a.opts.Ready != nil {
		ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
		defer cancel()
		if err := a.opts.Ready(ctx); err != nil {
			return notReady(err)
		}
	}
	return WriteJSON(c, http.StatusOK, map[string]string{"status": "ready"})
}

// notReady shows the words of a fault.Error, which are safe, and hides others.
func notReady(err error) error {
	detail := "A check failed; the log says which."
	if f, ok := fault.Of(err); ok {
		detail = f.Message
	}
	return fault.Wrap(err, fault.Unavailable, codeUnavailable, detail)
}

func (a *API) serveSpec(c *gin.Context) error {
	doc, err := a.Spec()
	if err != nil {
		return err
	}
	c.Writer.Header().Set("Content-Type", specType)
	if _, err := c.Writer.Write(doc); err != nil {
		return fmt.Errorf("write the specification: %w", errors.Join(context.Canceled, err))
	}
	return nil
}
