package app_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/pflag"

	"onepg/internal/app"
	"onepg/internal/config"
	"onepg/internal/postgres/pgtest"
)

// api is the whole program, running on a database.
type api struct {
	t        testing.TB
	database string
	url      string
	stop     func()
}

// start runs the program on a fresh database.
func start(t testing.TB, flags ...string) *api {
	t.Helper()
	return startOn(t, pgtest.New(t), flags...)
}

// startOn runs the program on a given database; several may share one. Further
// flags are settings.
func startOn(t testing.TB, database string, flags ...string) *api {
	t.Helper()
	return startLogging(t, t.Output(), slog.LevelWarn, append(flags, "--database-url="+withPassword(t, database))...)
}

// startLogging runs the program with the given settings and log.
func startLogging(t testing.TB, log io.Writer, level slog.Level, flags ...string) *api {
	t.Helper()
	set := pflag.NewFlagSet("app", pflag.ContinueOnError)
	config.Flags(set)
	if err := set.Parse(append([]string{"--addr=127.0.0.1:0"}, flags...)); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(set)
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(watched(t, slog.NewTextHandler(log, &slog.HandlerOptions{Level: level})))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	a, err := app.Start(ctx, app.Options{
		Config: settings, Version: "test",
		Domains: constructors(settings),
		Logger:  logger,
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the program did not stop cleanly: %v", err)
		}
	}
	t.Cleanup(stop)
	return &api{t: t, database: settings.Database.URL.Reveal(), url: a.URL(), stop: stop}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the problem's code, or empty.
func (a answer) code() string {
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal([]byte(a.body), &problem)
	return problem.Code
}

// into decodes the body.
func (a answer) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// do sends a request and holds the answer against the specification. Headers
// are given as "Name: value".
func (a *api) do(method, path, body string, headers ...string) answer {
	a.t.Helper()
	if body != "" {
		headers = append([]string{"Content-Type: application/json"}, headers...)
	}
	got := a.exchange(http.Client{}, method, path, body, headers...)
	if canary := canaryIn(got.body); canary != "" && got.status >= http.StatusBadRequest {
		a.t.Errorf("%s %s: the problem tells %q: %s", method, path, canary, got.body)
	}
	conform(a.t, method, path, got)
	return got
}

// exchange sends a request and takes the answer as it is.
func (a *api) exchange(client http.Client, method, path, body string, headers ...string) answer {
	a.t.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(a.t.Context()), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	client.Timeout = time.Minute
	response, err := client.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: string(text)}
}

func (a *api) get(path string, headers ...string) answer {
	a.t.Helper()
	return a.do(http.MethodGet, path, "", headers...)
}

func (a *api) post(body string, headers ...string) answer {
	a.t.Helper()
	return a.do(http.MethodPost, "/v1/users/events", body, headers...)
}

// event is the JSON of an event.
func event(id, aggregate uuid.UUID, name, payload string) string {
	return `{"id":"` + id.String() + `","aggregate_id":"` + aggregate.String() + `","name":"` + name + `","payload":` + payload + `}`
}

const ada = `{"name":"` + canaryName + `","email":"` + canaryEmail + `"}`

// create appends a user and waits until the view shows it.
func (a *api) create(payload string) uuid.UUID {
	a.t.Helper()
	id := uuid.New()
	if got := a.post(event(uuid.New(), id, "user.created", payload), "Prefer: wait=10"); got.status != http.StatusCreated {
		a.t.Fatalf("create: %d %s", got.status, got.body)
	}
	return id
}
