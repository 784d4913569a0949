package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

const thingPath = "/v1/things/0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"

func TestRequestIDIsEchoedWhenSaneAndMadeOtherwise(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, sane := range []string{"a", "abc-123", strings.Repeat("x", 128)} {
		if got := f.do("GET", "/livez", "", "X-Request-ID: "+sane).Header().Get("X-Request-ID"); got != sane {
			t.Errorf("%q became %q", sane, got)
		}
	}
	for _, bad := range []string{"", "a b", "ü", "a\tb", strings.Repeat("x", 129)} {
		got := f.do("GET", "/livez", "", "X-Request-ID: "+bad).Header().Get("X-Request-ID")
		if id, err := uuid.Parse(got); err != nil || id.Version() != 7 {
			t.Errorf("%q became %q, want a UUIDv7", bad, got)
		}
	}
	if got := f.do("GET", "/livez", "", "X-Request-ID: a", "X-Request-ID: b").Header().Get("X-Request-ID"); len(got) != 36 {
		t.Errorf("two ids became %q", got)
	}
}

func TestAnswersCarryTheSecurityHeadersAndNoServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, path := range []string{"/v1/things", "/nothing", "/v1/things/fail/panic"} {
		h := f.do("GET", path, "").Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || h.Get("Server") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestAccessLogHasTheRouteAndNothingOfTheClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do("GET", "/v1/things?name=canary1", "", "Authorization: canary2", "X-Request-ID: r-1")
	f.do("POST", "/v1/things", `{"name":"x","canary3":1}`)
	f.do("GET", "/canary4", "")
	log := f.log.String()
	if strings.Contains(log, "canary") {
		t.Errorf("the client's words are in the log:\n%s", log)
	}
	for _, want := range []string{"method=GET", "route=/v1/things", "status=200", "duration=", "bytes=", "request_id=r-1", "route=unmatched"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in the log:\n%s", want, log)
		}
	}
}

func TestHeadAnswersLikeGetWithoutABody(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rec := f.do(http.MethodHead, thingPath, "")
	if rec.Code != http.StatusOK || rec.Header().Get("ETag") != `"7"` {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	rec = f.do(http.MethodHead, "/v1/things/stream", "") // a stream that ran would never return
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
}

type actorKey struct{}

func TestAuthorizeIsAskedForTheScopeOfTheRoute(t *testing.T) {
	t.Parallel()
	var asked []httpapi.Scope
	f := newFixture(t, func(o *httpapi.Options) {
		o.Authorize = func(r *http.Request, scope httpapi.Scope) (context.Context, error) {
			asked = append(asked, scope)
			if r.Header.Get("Authorization") == "" {
				return nil, fault.New(fault.Unauthenticated, "unauthenticated", "No credential.")
			}
			return context.WithValue(r.Context(), actorKey{}, "key:web"), nil
		}
	})
	rec := f.do("GET", "/v1/things?limt=1", "")
	wantProblem(t, rec, 401, "unauthenticated") // before the query is judged
	if rec.Header().Get("WWW-Authenticate") == "" {
		t.Error("a 401 without WWW-Authenticate")
	}
	if rec := f.do("POST", "/v1/things", `{"name":"x"}`, "Authorization: Bearer k"); rec.Code != 201 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	f.do("GET", "/livez", "")
	wantProblem(t, f.do("GET", "/metrics", ""), 401, "unauthenticated")
	if got := asked; len(got) != 3 || got[0] != "things:read" || got[1] != "things:write" || got[2] != "metrics:read" {
		t.Errorf("asked for %v", got)
	}
}

func TestBodyCheckSeesTheBodyBeforeItIsDecoded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *httpapi.Options) {
		o.CheckBody = func(body []byte) error {
			if strings.Count(string(body), `"name"`) > 1 {
				return fault.New(fault.Malformed, "malformed-body", "The name name is there twice.")
			}
			return nil
		}
	})
	p := wantProblem(t, f.do("POST", "/v1/things", `{"name":"a","name":"b"}`), 400, "malformed-body")
	if p.Detail != "The name name is there twice." {
		t.Errorf("detail %q", p.Detail)
	}
	if rec := f.do("POST", "/v1/things", `{"name":"a"}`); rec.Code != 201 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestRequestsAreCountedByRouteAndClass(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do("GET", thingPath, "")
	f.do("GET", thingPath, "")
	f.do("GET", "/v1/things/nil", "")
	f.do("GET", "/x/y", "")
	exposed := f.do("GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`http_requests_total{method="GET",route="/v1/things/{id}",status="2xx"} 2`,
		`http_requests_total{method="GET",route="/v1/things/{id}",status="4xx"} 1`,
		`http_requests_total{method="other",route="unmatched",status="4xx"} 1`,
		`http_request_duration_seconds_count{method="GET",route="/v1/things/{id}",status="2xx"} 2`,
	} {
		if !strings.Contains(exposed, want+"\n") {
			t.Errorf("no %s in\n%s", want, exposed)
		}
	}
}

func TestReadyzNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	var missing error
	f := newFixture(t, func(o *httpapi.Options) { o.Ready = func(context.Context) error { return missing } })
	if rec := f.do("GET", "/readyz", ""); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	missing = fault.New(fault.Unavailable, "unavailable", "database: does not answer")
	if p := wantProblem(t, f.do("GET", "/readyz", ""), 503, "unavailable"); p.Detail != "database: does not answer" {
		t.Errorf("detail %q", p.Detail)
	}
	missing = errors.New("postgres://canary@host")
	wantProblem(t, f.do("GET", "/readyz", ""), 503, "unavailable")
	if rec := f.do("GET", "/livez", ""); rec.Code != 200 {
		t.Errorf("livez: %d %s", rec.Code, rec.Body)
	}
}
