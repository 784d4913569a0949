package httpapi_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	gocmp "github.com/google/go-cmp/cmp"

	"onepg/internal/httpapi"
)

var update = flag.Bool("update", false, "rewrite testdata/routes.golden")

func TestRoutesTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, r := range newFixture(t).Routes() {
		fmt.Fprintf(&b, "%-4s %-22s %-12s %s\n", r.Method, r.Path, r.Scope, cmp.Or(r.ID, "-"))
	}
	const path = "testdata/routes.golden"
	got := b.String()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update rewrites it:\n%s", path, diff)
	}
}

func TestFaultyDeclarationIsAnErrorAtStart(t *testing.T) {
	t.Parallel()
	fine := httpapi.Operation{ID: "other", Path: "/other", Scope: "things:read"}
	with := func(change func(*httpapi.Operation)) httpapi.Operation {
		op := fine
		change(&op)
		return op
	}
	cases := []struct {
		name, want string
		op         httpapi.Operation
	}{
		{"no scope", "declares no scope", with(func(op *httpapi.Operation) { op.Scope = "" })},
		{"odd scope", "not of the form", with(func(op *httpapi.Operation) { op.Scope = "everything" })},
		{"no id", "has no ID", with(func(op *httpapi.Operation) { op.ID = "" })},
		{"id twice", "shares its ID", with(func(op *httpapi.Operation) { op.ID = "list-things" })},
		{"route twice", "registered twice", with(func(op *httpapi.Operation) { op.Path = "" })},
		{"clashing wildcard", "conflicts", with(func(op *httpapi.Operation) { op.Path = "/{thing}/x" })},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			httpapi.Get(f.Group("things"), c.op, func(context.Context, *struct{}) (*struct{}, error) { return &struct{}{}, nil })
			err := f.Err()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestRawRouteIsCheckedLikeATypedOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Group("things").Raw(httpapi.Operation{ID: "other", Method: "GET", Path: "/other"}, func(*gin.Context) error { return nil })
	if f.Err() == nil {
		t.Error("a raw route without a scope was accepted")
	}
}

func TestSpecificationIsServedAndComplete(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rec := f.do("GET", "/openapi.json", "")
	var doc struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("OpenAPI %q", doc.OpenAPI)
	}
	for _, r := range f.Routes() {
		_, documented := doc.Paths[r.Path][strings.ToLower(r.Method)]
		if documented != (r.ID != "") {
			t.Errorf("%s %s: documented %v", r.Method, r.Path, documented)
		}
	}
	create := string(doc.Paths["/v1/things"]["post"])
	for _, want := range []string{
		"ThingExists409", "bad-parameter", "malformed-body", "TooLarge413", "UnsupportedMediaType415", "ValidationFailed422",
		"Unauthenticated401", "Forbidden403", "RateLimited429", "Unavailable503", "things:write", "problem+json", `"201"`,
	} {
		if !strings.Contains(create, want) {
			t.Errorf("no %s in %s", want, create)
		}
	}
	if body := rec.Body.String(); strings.Contains(body, `["array","null"]`) {
		t.Error("a list may be null")
	}
	if get := string(doc.Paths["/v1/things/{id}"]["get"]); !strings.Contains(get, `"304"`) || strings.Contains(get, "malformed-body") {
		t.Errorf("the versioned read: %s", get)
	}
}

func TestIndexLinksOnlyToWhatExists(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var index struct {
		Version string   `json:"version"`
		Links   []string `json:"links"`
	}
	if err := json.Unmarshal(f.do("GET", "/", "").Body.Bytes(), &index); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/openapi.json", "/readyz", "/v1/things"} {
		if !slices.Contains(index.Links, want) {
			t.Errorf("no %s in %v", want, index.Links)
		}
	}
	for _, link := range index.Links {
		if link == "/v1/things/slow" {
			continue // waits for the test
		}
		if rec := f.do(http.MethodHead, link, ""); rec.Code != http.StatusOK {
			t.Errorf("%s: %d", link, rec.Code)
		}
	}
	if index.Version != "1.2.3" {
		t.Errorf("version %q", index.Version)
	}
}

func TestOpsAddressTakesMetricsOffTheAPI(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *httpapi.Options) { o.SeparateOps = true })
	wantProblem(t, f.do("GET", "/metrics", ""), 404, "not-found")
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
		rec := httptest.NewRecorder()
		f.OpsHandler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if rec.Code != http.StatusOK {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
	if rec := newFixture(t).do("GET", "/metrics", ""); rec.Code != http.StatusOK {
		t.Errorf("/metrics on the API: %d", rec.Code)
	}
}
