package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

const requestIDHeader = "X-Request-Id" // as net/http spells it; names of headers have no case

type requestKey struct{}

// request is what the edge knows about a request; handlers reach it through
// their context.
type request struct {
	id            string
	circumstances []circumstance
	route         *route
	draining      <-chan struct{}
}

func requestOf(ctx context.Context) *request {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return &request{route: &route{}}
	}
	return r
}

// RequestID names the request a handler works for: the client's X-Request-ID
// when it was sane, else one made here. Empty outside a request.
func RequestID(ctx context.Context) string { return requestOf(ctx).id }

// Draining is closed when the server begins to shut down. A handler that waits
// for something should answer with what it has. It never closes outside a
// request.
func Draining(ctx context.Context) <-chan struct{} { return requestOf(ctx).draining }

func routeOf(ctx context.Context) string { return requestOf(ctx).route.path }

// edge is what every request passes through, whatever answers it. It is one
// function and not a chain because its parts share one deferred exit.
func (a *API) edge(rt *route) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := a.opts.Clock()
		cancel := a.begin(rt, c)
		defer cancel()
		defer a.finish(rt, c, start)
		defer a.catch(c)
		if err := a.admit(rt, c); err != nil {
			a.fail(c, err)
			return
		}
		c.Next()
	}
}

// begin gives the request its id, its context and the headers of every answer.
func (a *API) begin(rt *route, c *gin.Context) context.CancelFunc {
	req := &request{id: requestID(c.Request), circumstances: circumstancesOf(c.Request.Header), route: rt, draining: a.draining.Done()}
	a.setHeaders(c.Writer.Header(), c.Request, req.id)
	ctx := context.WithValue(c.Request.Context(), requestKey{}, req)
	var cancel context.CancelFunc
	if rt.stream {
		ctx, cancel = a.streamContext(ctx, c.Writer)
	} else {
		ctx, cancel = context.WithTimeout(ctx, a.answerTimeout(c.Request))
	}
	c.Request = c.Request.WithContext(ctx)
	return cancel
}

// streamContext lets a stream run until the client leaves or the server shuts
// down. The answer's write deadline would cut it, so the handler sets its own.
func (a *API) streamContext(ctx context.Context, w http.ResponseWriter) (context.Context, context.CancelFunc) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // only a recorder in a test has none
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(a.draining, cancel)
	return ctx, func() { stop(); cancel() }
}

// answerTimeout leaves room for the wait the client asked for.
func (a *API) answerTimeout(r *http.Request) time.Duration {
	timeout := a.opts.Limits.AnswerTimeout
	if r.Header["Prefer"] != nil {
		if wait, ok := ParsePreferWait(r.Header); ok {
			timeout += wait
		}
	}
	return timeout
}

// admit refuses a request before any handler has seen it.
func (a *API) admit(rt *route, c *gin.Context) error {
	if err := a.limitHeaders(c.Request); err != nil {
		return err
	}
	if err := a.limitBody(c); err != nil {
		return err
	}
	if a.opts.Authorize != nil && rt.scope != Public {
		ctx, err := a.opts.Authorize(c.Request, rt.scope)
		if err != nil {
			return err
		}
		c.Request = c.Request.WithContext(ctx)
		if rt.stream {
			a.watchAccess(rt, c)
		}
	}
	return rt.params.check(c.Request)
}

// finish counts the answer and, at debug, says one line about it: never the
// query, a header or a body, which are the client's.
func (a *API) finish(rt *route, c *gin.Context, start time.Time) {
	took := a.opts.Clock().Sub(start)
	rt.metrics.observe(c.Writer.Status(), took)
	ctx := c.Request.Context()
	if !a.opts.Logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	a.opts.Logger.LogAttrs(ctx, slog.LevelDebug, "request",
		slog.String("method", rt.method),
		slog.String("route", rt.path),
		slog.Int("status", c.Writer.Status()),
		slog.Duration("duration", took),
		slog.Int("bytes", max(0, c.Writer.Size())),
		slog.String("request_id", RequestID(ctx)))
}

// catch makes a panic a 500 like any other defect.
func (a *API) catch(c *gin.Context) {
	cause := recover()
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause) //nolint:forbidigo // net/http's way to cut a connection
	}
	a.answerError(c, fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
}

// setHeaders are the headers of every answer. An answer is never stored unless
// its handler says otherwise, as those with an ETag do.
func (a *API) setHeaders(header http.Header, r *http.Request, id string) {
	header[requestIDHeader] = []string{id}
	header["X-Content-Type-Options"] = []string{"nosniff"}
	header["Cache-Control"] = []string{"no-store"}
	a.setCORS(header, r)
}

func requestID(r *http.Request) string {
	if values := r.Header[requestIDHeader]; len(values) == 1 && isSaneID(values[0]) {
		return values[0]
	}
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil.String() // no randomness: the request can still be served
	}
	return id.String()
}

// longestID is how long an id in a header may be.
const longestID = 128

// isSaneID lets through what can stand in a log line as one word.
func isSaneID(id string) bool {
	if id == "" || len(id) > longestID {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}
