package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"onepg/internal/fault"
)

const problemType = "application/problem+json"

// Problem is the body of every error, after RFC 9457. Code is what clients
// should branch on; Detail is for people and may be reworded.
type Problem struct { //nolint:errname // it is an error only so that huma can write it
	Type     string `json:"type" format:"uri-reference" example:"/problems/version-conflict" doc:"/problems/ and the code."`
	Title    string `json:"title" doc:"The code in words; the same for every occurrence."`
	Status   int    `json:"status" example:"409"`
	Detail   string `json:"detail" doc:"What happened this time, for people."`
	Instance string `json:"instance" doc:"The request's id, as in X-Request-ID."`
	Code     string `json:"code" example:"version-conflict" doc:"Stable; branch on this."`
	// Errors lists every mistake of a body, or names the event that was refused.
	Errors []fault.Field `json:"errors,omitempty"`
	// CurrentVersion is the aggregate's version a conflict was decided against.
	CurrentVersion *int `json:"current_version,omitempty"`

	retryAfter time.Duration
}

// newProblem is a problem of the edge's own, for statuses no kind has.
func newProblem(status int, code, detail string) *Problem {
	return &Problem{
		Type: "/problems/" + code, Title: title(code), Status: status, Code: code, Detail: detail,
	}
}

// problemOf translates any error without looking at the request. What is not a
// fault.Error shows none of its text.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		own := *p
		return &own
	}
	f, foreseen := fault.Of(err)
	switch {
	case foreseen && f.Kind != fault.Internal:
		return problemOfFault(f)
	case errors.Is(err, context.DeadlineExceeded):
		return newProblem(http.StatusServiceUnavailable, codeUnavailable,
			"The answer took too long. Repeating the request with the same ids is safe.")
	}
	return newProblem(http.StatusInternalServerError, codeInternal,
		"Something failed that should not have. The log has the cause under this request id.")
}

func problemOfFault(f *fault.Error) *Problem {
	p := newProblem(statusOf(f.Kind), f.Code, f.Message)
	p.Errors = f.Fields
	p.CurrentVersion = f.CurrentVersion
	p.retryAfter = f.RetryAfter
	return p
}

// title turns version-conflict into "Version conflict".
func title(code string) string {
	words := strings.ReplaceAll(code, "-", " ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// Error makes a Problem an error, as huma asks for.
func (p *Problem) Error() string { return p.Detail }

// GetStatus names the answer's status to huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType replaces the negotiated type when huma writes the problem.
func (p *Problem) ContentType(string) string { return problemType }

// GetHeaders are the headers that belong to the status. A 429 or 503 always
// says when to come back, in whole seconds and at least one.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		seconds := max(1, int(math.Ceil(p.retryAfter.Seconds())))
		h.Set("Retry-After", strconv.Itoa(seconds))
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge:
		// Why: the rest of the body is still coming and nobody will read it.
		h.Set("Connection", "close")
	}
	return h
}

// problem is err as one request's client may see it, reported on the way.
func (a *API) problem(ctx context.Context, err error) *Problem {
	p := a.present(ctx, err)
	a.report(ctx, p, err)
	return p
}

func (a *API) present(ctx context.Context, err error) *Problem {
	if a.opts.Translate != nil && !errors.Is(err, context.Canceled) {
		err = a.opts.Translate(err)
	}
	p := problemOf(err)
	// Why ctx too: a cancellation from inside, while the client still waits, is
	// a defect like any other.
	if p.Status == http.StatusInternalServerError && errors.Is(err, context.Canceled) && ctx.Err() != nil {
		p = newProblem(statusClientClosed, codeCancelled, "The request was cancelled.")
	}
	p.Instance = RequestID(ctx)
	return p
}

// report logs, once, what nobody foresaw. The cause of a client's mistake is
// never logged: it may quote what the client sent.
func (a *API) report(ctx context.Context, p *Problem, err error) {
	attrs := []slog.Attr{
		slog.String("request_id", p.Instance),
		slog.String("route", routeOf(ctx)),
		slog.String("code", p.Code),
		slog.Any("error", err),
	}
	switch {
	case p.Status == http.StatusInternalServerError:
		a.opts.Logger.LogAttrs(ctx, slog.LevelError, "request failed", attrs...)
	case p.Status > http.StatusInternalServerError:
		a.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "request refused for now", attrs...)
	}
}

// answerError answers with err where nothing has been written yet. An answer
// that has begun cannot become a problem; after a defect its connection is cut,
// so that half an answer cannot pass for a whole one.
func (a *API) answerError(c *gin.Context, err error) {
	if !c.Writer.Written() {
		a.fail(c, err)
		return
	}
	p := a.present(c.Request.Context(), err)
	a.report(c.Request.Context(), p, err)
	if p.Status == http.StatusInternalServerError {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut a connection
	}
}

// fail answers a plain gin request with err, as a problem or a page, and stops
// its handlers.
func (a *API) fail(c *gin.Context, err error) {
	c.Abort()
	p := a.problem(c.Request.Context(), err)
	header := c.Writer.Header()
	// Why: what the handler had prepared describes another answer.
	maps.DeleteFunc(header, func(name string, _ []string) bool { return name != "Allow" })
	a.setHeaders(header, c.Request, p.Instance)
	for name, values := range p.GetHeaders() {
		header[name] = values
	}
	if pages, ok := a.pagesOf(c.Request.URL.Path); ok && pages.refuse(c, p) == nil || c.Writer.Written() {
		return
	}
	_ = writeAs(c, p.Status, problemType, p) // a Problem can always be encoded
}
