package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onepg/internal/httpapi"
)

// do asks without a network. Headers are "Name: value".
func (f *fixture) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	if body == "" {
		req.Body = http.NoBody
	} else if !slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, "Content-Type:") }) {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	rec := httptest.NewRecorder()
	f.Handler().ServeHTTP(rec, req)
	return rec
}

// wantProblem checks what every problem must have and returns it.
func wantProblem(t *testing.T, rec *httptest.ResponseRecorder, status int, code string) httpapi.Problem {
	t.Helper()
	return wantProblemIn(t, reply{status: rec.Code, header: rec.Header(), body: rec.Body.String()}, status, code)
}

// reply is an answer read to its end, or to where it was cut.
type reply struct {
	status int
	header http.Header
	body   string
	closes bool
	cut    error
}

func wantProblemIn(t *testing.T, res reply, status int, code string) httpapi.Problem {
	t.Helper()
	var p httpapi.Problem
	if err := json.Unmarshal([]byte(res.body), &p); err != nil {
		t.Fatalf("not a problem: %d %s", res.status, res.body)
	}
	got := []any{res.status, p.Status, p.Code, p.Type, res.header.Get("Content-Type"), p.Instance}
	want := []any{status, status, code, "/problems/" + code, "application/problem+json", res.header.Get("X-Request-ID")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("problem %s (-want +got):\n%s", res.body, diff)
	}
	if p.Title == "" || p.Detail == "" || p.Instance == "" {
		t.Fatalf("problem without title, detail or instance: %s", res.body)
	}
	if strings.Contains(res.body, "canary") {
		t.Fatalf("a cause is shown: %s", res.body)
	}
	return p
}
