package auth_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/goleak"

	"onepg/internal/auth"
	"onepg/internal/fault"
	"onepg/internal/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock goes only when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// door is a guarded HTTP server: its paths are scopes, its answers actors.
type door struct {
	t     *testing.T
	url   string
	guard *auth.Guard
}

func guarded(t *testing.T, o auth.Options) *door {
	t.Helper()
	if o.Rate == 0 {
		o.Rate, o.Burst = 1000, 1000
	}
	guard := auth.New(o)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, err := guard.Authorize(r, strings.TrimPrefix(r.URL.Path, "/"))
		if err == nil {
			fmt.Fprint(w, auth.Actor(ctx))
			return
		}
		f, ok := fault.Of(err)
		if !ok {
			f = fault.New(fault.Internal, "internal", err.Error())
		}
		w.Header().Set("Retry-After", strconv.FormatFloat(f.RetryAfter.Seconds(), 'f', 3, 64))
		w.WriteHeader(statusOf(f.Kind))
		fmt.Fprint(w, f.Message)
	}))
	t.Cleanup(server.Close)
	return &door{t: t, url: server.URL, guard: guard}
}

// statusOf is the status of the failures a guard has, and 500 for any other.
func statusOf(kind fault.Kind) int {
	kinds := []fault.Kind{fault.Unauthenticated, fault.Forbidden, fault.Limited, fault.Unavailable}
	if i := slices.Index(kinds, kind); i >= 0 {
		return []int{401, 403, 429, 503}[i]
	}
	return 500
}

// knock asks for a scope. Headers are given as "Name: value".
func (d *door) knock(scope string, headers ...string) (status int, body string, header http.Header) {
	d.t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(d.t.Context()), http.MethodGet, d.url+"/"+scope, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header.Add(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	response, err := client.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

// want asks for a scope and complains unless the status is the expected one.
func (d *door) want(status int, scope, credential string) string {
	d.t.Helper()
	got, body, _ := d.knock(scope, "Authorization: Bearer "+credential)
	if got != status {
		d.t.Errorf("%s: %d %s, want %d", scope, got, body, status)
	}
	return body
}

func connect(t *testing.T, url string) *bun.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: url, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
