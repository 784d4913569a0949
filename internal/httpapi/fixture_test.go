package httpapi_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var thingID = uuid.MustParse("0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01")

type thing struct {
	ID   httpapi.ID         `json:"id"`
	Name string             `json:"name"`
	At   eventsourcing.Time `json:"at"`
}

type listInput struct {
	httpapi.Paging

	Sort string   `query:"sort" enum:"name,-name" default:"name"`
	Name string   `query:"name" maxLength:"20"`
	Tag  []string `query:"tag,explode"`

	Since time.Time `query:"since"`
	Size  int       `query:"size" maximum:"2147483647"`
}

type itemInput struct {
	httpapi.Conditional
	httpapi.Waiting

	ID httpapi.ID `path:"id"`
}

type createInput struct {
	httpapi.Precondition

	Key  string `header:"Idempotency-Key"`
	Body struct {
		Name string   `json:"name" minLength:"1" maxLength:"5"`
		Tags []string `json:"tags,omitempty" maxItems:"2"`
		Of   string   `json:"of,omitempty" format:"uuid"`
	}
}

type createOutput struct {
	Body thing
}

// fixture is an API with one domain that shows every kind of route and of
// failure. names are what the list lists.
type fixture struct {
	*httpapi.API

	log     *lockedBuffer
	metrics *prometheus.Registry
	names   []string
	started chan struct{} // a slow or streaming handler says that it runs
	release chan struct{} // and waits for this
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newFixture(tb testing.TB, change ...func(*httpapi.Options)) *fixture {
	tb.Helper()
	f := &fixture{
		log: &lockedBuffer{}, metrics: prometheus.NewRegistry(), names: []string{"a", "b", "c"},
		started: make(chan struct{}, 10), release: make(chan struct{}),
	}
	opts := httpapi.Options{
		Logger: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Clock:  time.Now, Metrics: f.metrics, Version: "1.2.3",
	}
	for _, c := range change {
		c(&opts)
	}
	api, err := httpapi.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	f.API = api
	f.register(api.Group("things"))
	if err := api.Err(); err != nil {
		tb.Fatal(err)
	}
	return f
}

func (f *fixture) register(g *httpapi.Group) {
	op := func(id, path string) httpapi.Operation {
		return httpapi.Operation{ID: id, Path: path, Scope: "things:read", Summary: id}
	}
	httpapi.Get(g, op("list-things", ""), f.list)
	httpapi.Get(g, op("get-thing", "/{id}"), f.item)
	httpapi.Post(g, httpapi.Operation{
		ID: "create-thing", Scope: "things:write", Status: http.StatusCreated,
		Problems: []httpapi.Refusal{{Kind: fault.Conflict, Code: "thing-exists"}},
	}, f.create)
	note := op("note-thing", "/{id}/note")
	httpapi.Post(g, note, func(_ context.Context, _ *struct {
		ID   httpapi.ID `path:"id"`
		Body *struct {
			Note string `json:"note,omitempty"`
		}
	},
	) (*struct{}, error) {
		return nil, nil //nolint:nilnil // 204
	})
	httpapi.Get(g, op("fail", "/fail/{how}"), f.fail)
	raw := op("raw-thing", "/raw")
	raw.Method, raw.Scope = http.MethodPost, "things:write"
	raw.Describe = func(spec *huma.Operation) {
		spec.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {}}}
	}
	g.Raw(raw, func(c *gin.Context) error {
		body, err := httpapi.ReadJSON(c)
		if err != nil {
			return err
		}
		return httpapi.WriteJSON(c, http.StatusOK, map[string]int{"bytes": len(body)})
	})
	slow := op("slow", "/slow")
	slow.Method = http.MethodGet
	g.Raw(slow, f.slow)
	stream := op("stream", "/stream")
	stream.Method, stream.EventStream = http.MethodGet, true
	g.Raw(stream, f.stream)
}

func (f *fixture) list(_ context.Context, in *listInput) (*httpapi.Listing[thing], error) {
	var rows []thing
	for _, name := range f.names {
		if strings.HasPrefix(name, in.Name) && (in.After() == nil || name > in.After().Key) {
			rows = append(rows, thing{ID: httpapi.ID{UUID: thingID}, Name: name})
		}
	}
	rows = rows[:min(len(rows), in.Limit+1)]
	return httpapi.NewListing(&in.Paging, rows, func(x thing) httpapi.Cursor {
		return httpapi.Cursor{Key: x.Name, ID: x.ID.UUID}
	}), nil
}

func (f *fixture) item(ctx context.Context, in *itemInput) (*httpapi.Versioned[thing], error) {
	at := time.Date(2026, 11, 21, 4, 4, 5, 120_000_999, time.FixedZone("CET", 3600))
	out := httpapi.NewVersioned(&in.Conditional, 7, thing{ID: in.ID, Name: "<&>", At: eventsourcing.At(at)})
	out.PreferenceApplied = in.Await(ctx, func(context.Context) bool { return true })
	return out, nil
}

func (f *fixture) create(_ context.Context, in *createInput) (*createOutput, error) {
	if v := in.Match().Version; v != nil && *v != 7 {
		current := 7
		return nil, &fault.Error{
			Kind: fault.Precondition, Code: "version-conflict", Message: "Not the version.", CurrentVersion: &current,
		}
	}
	return &createOutput{Body: thing{Name: in.Body.Name}}, nil
}

func (f *fixture) fail(ctx context.Context, in *struct {
	How string `path:"how"`
},
) (*struct{ Body float64 }, error) {
	secret := errors.New("SELECT canary")
	switch in.How {
	case "unknown":
		return nil, secret
	case "panic":
		panic(secret)
	case "kind-internal":
		return nil, fault.Wrap(secret, fault.Internal, "odd", "canary")
	case "unencodable":
		return &struct{ Body float64 }{math.Inf(1)}, nil
	case "deadline":
		return nil, errors.Join(secret, context.DeadlineExceeded)
	case "cancelled-inside":
		return nil, context.Canceled
	case "limited":
		return nil, &fault.Error{Kind: fault.Limited, Code: "rate-limited", Message: "Slower.", RetryAfter: 1500 * time.Millisecond}
	case "answer-timeout":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, fault.Wrap(secret, fault.Gone, "aggregate-deleted", "It was deleted.")
}

func (f *fixture) slow(c *gin.Context) error {
	f.started <- struct{}{}
	select {
	case <-f.release:
		return httpapi.WriteJSON(c, http.StatusOK, "done")
	case <-c.Request.Context().Done():
		return c.Request.Context().Err()
	}
}

func (f *fixture) stream(c *gin.Context) error {
	c.Header("Content-Type", "text/event-stream")
	c.Writer.Flush()
	f.started <- struct{}{}
	<-c.Request.Context().Done()
	return nil
}
