package httpapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

func TestDefectIsAFixedProblemAndOneErrorLine(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"unknown", "panic", "kind-internal", "unencodable", "cancelled-inside"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			wantProblem(t, f.do("GET", "/v1/things/fail/"+how, ""), 500, "internal")
			log := f.log.String()
			if n := strings.Count(log, "level=ERROR"); n != 1 {
				t.Errorf("%d error lines, want 1:\n%s", n, log)
			}
			if how == "unknown" && !strings.Contains(log, "SELECT canary") {
				t.Errorf("the cause is not in the log:\n%s", log)
			}
		})
	}
}

func TestForeseenFailureIsItsProblemAndQuiet(t *testing.T) {
	t.Parallel()
	cases := []struct {
		how, code  string
		status     int
		retryAfter string
	}{
		{"gone", "aggregate-deleted", 410, ""},
		{"limited", "rate-limited", 429, "2"},
		{"deadline", "unavailable", 503, "1"},
	}
	for _, c := range cases {
		t.Run(c.how, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			rec := f.do("GET", "/v1/things/fail/"+c.how, "")
			wantProblem(t, rec, c.status, c.code)
			if got := rec.Header().Get("Retry-After"); got != c.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, c.retryAfter)
			}
			if log := f.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
				t.Errorf("logged above INFO:\n%s", log)
			}
		})
	}
}

func TestEveryKindHasItsStatus(t *testing.T) {
	t.Parallel()
	statuses := map[fault.Kind]int{
		fault.Malformed: 400, fault.Unauthenticated: 401, fault.Forbidden: 403, fault.NotFound: 404,
		fault.MethodNotAllowed: 405, fault.Conflict: 409, fault.Gone: 410, fault.Precondition: 412, fault.TooLarge: 413,
		fault.Unsupported: 415, fault.Invalid: 422, fault.Limited: 429, fault.Unavailable: 503, fault.Timeout: 504,
		fault.Internal: 500,
	}
	f := newFixture(t)
	var kind fault.Kind
	op := httpapi.Operation{ID: "refuse", Method: "GET", Path: "/refuse", Scope: httpapi.Public}
	f.Group("extra").Raw(op, func(*gin.Context) error {
		return fmt.Errorf("wrapped: %w", fault.New(kind, "some-code", "Some words."))
	})
	for k, status := range statuses {
		kind = k
		code := "some-code"
		if k == fault.Internal {
			code = "internal"
		}
		wantProblem(t, f.do("GET", "/v1/extra/refuse", ""), status, code)
	}
}

func TestRefusalDoesNotCarryTheHeadersOfAnAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, path := range []string{"/panics", "/fails"} {
		op := httpapi.Operation{ID: path, Method: "GET", Path: path, Scope: httpapi.Public}
		f.Group("extra").Raw(op, func(c *gin.Context) error {
			c.Header("ETag", `"1"`)
			c.Header("Cache-Control", "public")
			if path == "/panics" {
				panic("canary")
			}
			return errors.New("canary")
		})
		rec := f.do("GET", "/v1/extra"+path, "")
		wantProblem(t, rec, 500, "internal")
		if h := rec.Header(); h.Get("ETag") != "" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestAnswerTimeoutIsUnavailable(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.AnswerTimeout = 10 * time.Millisecond })
	wantProblem(t, f.do("GET", "/v1/things/fail/answer-timeout", ""), 503, "unavailable")
}

func TestBodyMistakesAreAllListedWithPointers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := wantProblem(t, f.do("POST", "/v1/things", `{"NAME":"x","of":"7","tags":["a",1],"~/":2}`), 422, "validation-failed")
	want := []fault.Field{
		{Pointer: "/NAME", Detail: "unexpected property"},
		{Pointer: "/name", Detail: "is required"},
		{Pointer: "/of", Detail: "expected a UUID like 0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"},
		{Pointer: "/tags/1", Detail: "expected string"},
		{Pointer: "/~0~1", Detail: "unexpected property"},
	}
	if diff := cmp.Diff(want, p.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestBadRequestsAreProblems(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, method, path, body string
		header                   string
		status                   int
		code, detail             string
	}{
		{"unknown path", "GET", "/v1/nothing", "", "", 404, "not-found", ""},
		{"trailing slash", "GET", "/v1/things/", "", "", 404, "not-found", ""},
		{"wrong method", "PUT", "/v1/things", "", "", 405, "method-not-allowed", ""},
		{"options", "OPTIONS", "/v1/things", "", "", 405, "method-not-allowed", ""},
		{"made-up method", "BREW", "/v1/things", "", "", 405, "method-not-allowed", ""},
		{"limit zero", "GET", "/v1/things?limit=0", "", "", 400, "bad-parameter", "limit: "},
		{"limit past the end", "GET", "/v1/things?limit=501", "", "", 400, "bad-parameter", "limit: "},
		{"limit no number", "GET", "/v1/things?limit=ten", "", "", 400, "bad-parameter", "limit: "},
		{"two mistakes", "GET", "/v1/things?limit=0&sort=size", "", "", 400, "bad-parameter", "; sort: "},
		{"a date for a time", "GET", "/v1/things?since=2026-11-29", "", "", 400, "bad-parameter", "since: expected a time like 2026-11-21T03:04:05.123456Z (RFC 3339)"},
		{"a great limit", "GET", "/v1/things?size=2147483648", "", "", 400, "bad-parameter", "size: expected number <= 2147483647"},
		{"no id", "GET", "/v1/things/7", "", "", 400, "bad-parameter", "id: expected a UUID like "},
		{"mistyped name", "GET", "/v1/things?limt=5", "", "", 400, "bad-parameter", "limt: is unknown here; known are cursor, limit, name, since, size, sort, tag"},
		{"repeated", "GET", "/v1/things?limit=5&limit=6", "", "", 400, "bad-parameter", "limit: is given more than once"},
		{"broken escape", "GET", "/v1/things?name=%zz", "", "", 400, "bad-parameter", "query: "},
		{"nul", "GET", "/v1/things?name=%00", "", "", 400, "bad-parameter", "name: "},
		{"not utf-8", "GET", "/v1/things?name=%ff", "", "", 400, "bad-parameter", "name: "},
		{"not utf-8 in path", "GET", "/v1/things/fail/%ff", "", "", 400, "bad-parameter", "path: "},
		{"query of a raw route", "POST", "/v1/things/raw?x=1", "{}", "", 400, "bad-parameter", "x: is unknown here; this path takes no parameters"},
		{"id in braces", "GET", "/v1/things/%7B0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01%7D", "", "", 400, "bad-parameter", "id: "},
		{"nil id", "GET", "/v1/things/00000000-0000-0000-0000-000000000000", "", "", 400, "bad-parameter", "id: "},
		{"foreign cursor", "GET", "/v1/things?cursor=AAAA", "", "", 400, "bad-parameter", "cursor: "},
		{"bad if-match", "POST", "/v1/things", `{"name":"x"}`, "If-Match: 7", 400, "bad-parameter", "If-Match: "},
		{"stale if-match", "POST", "/v1/things", `{"name":"x"}`, `If-Match: "6"`, 412, "version-conflict", ""},
		{"no body", "POST", "/v1/things", "", "Content-Type: application/json", 400, "malformed-body", ""},
		{"not json", "POST", "/v1/things", "{", "", 400, "malformed-body", ""},
		{"trailing bytes", "POST", "/v1/things", `{"name":"x"} 1`, "", 400, "malformed-body", ""},
		{"no content type", "POST", "/v1/things", "{}", "Content-Type: ", 415, "unsupported-media-type", ""},
		{"wrong content type", "POST", "/v1/things", "{}", "Content-Type: text/plain", 415, "unsupported-media-type", ""},
		{"wrong charset", "POST", "/v1/things", "{}", "Content-Type: application/json; charset=latin1", 415, "unsupported-media-type", ""},
		{"gzip", "POST", "/v1/things/raw", "{}", "Content-Encoding: gzip", 415, "unsupported-media-type", ""},
		{"too large", "POST", "/v1/things/raw", strings.Repeat(" ", 1<<20+1), "", 413, "too-large", ""},
		{"headers too large", "GET", "/v1/things", "", "X-Bomb: " + strings.Repeat("a", 16<<10), 431, "headers-too-large", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			var headers []string
			if c.header != "" {
				headers = append(headers, c.header)
			}
			p := wantProblem(t, f.do(c.method, c.path, c.body, headers...), c.status, c.code)
			if !strings.Contains(p.Detail, c.detail) {
				t.Errorf("detail %q does not say %q", p.Detail, c.detail)
			}
			if log := f.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
				t.Errorf("logged above INFO:\n%s", log)
			}
		})
	}
}

func TestRepeatedSingleHeaderIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	wantProblem(t, f.do("POST", "/v1/things", `{"name":"x"}`, "Idempotency-Key: a", "Idempotency-Key: b"), 400, "bad-parameter")
}

func TestLegalOdditiesAreAccepted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cases := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
	}{
		{"body at the limit", "POST", "/v1/things/raw", strings.Repeat(" ", 1<<20), nil, 200},
		{"content type with charset", "POST", "/v1/things", `{"name":"x"}`, []string{"Content-Type: Application/JSON; charset=UTF-8"}, 201},
		{"upper case id", "GET", "/v1/things/0193B7A2-4C1E-7D60-8F7E-1B1D1F6F0A01", "", nil, 200},
		{"repeatable parameter", "GET", "/v1/things?tag=a&tag=b", "", nil, 200},
		{"if-match any", "POST", "/v1/things", `{"name":"x"}`, []string{"If-Match: *"}, 201},
		{"limits at the ends", "GET", "/v1/things?limit=500", "", nil, 200},
		{"foreign accept", "GET", "/v1/things", "", []string{"Accept: text/html"}, 200},
		{"optional body left out", "POST", thingPath + "/note", "", nil, 204},
		{"optional body sent", "POST", thingPath + "/note", `{"note":"x"}`, nil, 204},
		{"probe with a query", "GET", "/livez?probe=1", "", nil, 200},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if rec := f.do(c.method, c.path, c.body, c.headers...); rec.Code != c.status {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
	}
}

func TestWrongMethodNamesTheRightOnes(t *testing.T) {
	t.Parallel()
	rec := newFixture(t).do(http.MethodDelete, "/v1/things", "")
	for _, method := range []string{"GET", "HEAD", "POST"} {
		if !strings.Contains(rec.Header().Get("Allow"), method) {
			t.Errorf("Allow %q lacks %s", rec.Header().Get("Allow"), method)
		}
	}
}
