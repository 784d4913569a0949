package app_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// The whole document is kept, so that a review shows what a change does to it.
func TestTheSpecificationIsPublic(t *testing.T) {
	t.Parallel()
	spec, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, spec.text, "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "openapi.json", pretty.String()+"\n")
	if got := start(t).get("/openapi.json"); got.body != string(spec.text) {
		t.Error("the server answers another document than app openapi prints")
	}
}

// Every event that the program knows has a schema of its own in answers, and
// each that clients may post one for requests.
func TestEachEventHasItsSchema(t *testing.T) {
	t.Parallel()
	spec, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	schemas := spec.doc.Components.Schemas
	for union, want := range map[string][]string{
		"UsersEvent": {"user.created", "user.deleted", "user.updated"},
		"RecordedEvent": {
			"payment.approved", "payment.failed", "payment.flagged_for_review", "payment.initiated", "payment.processed",
			"payment.rejected", "user.created", "user.deleted", "user.reverted", "user.updated",
		},
	} {
		s := schemas[union].Value
		var names []string
		for name, ref := range s.Discriminator.Mapping {
			names = append(names, name)
			event := schemas[strings.TrimPrefix(ref.Ref, "#/components/schemas/")].Value
			if got := event.Properties["name"].Value.Enum; !slices.Equal(got, []any{name}) {
				t.Errorf("%s: %s is named %v", union, name, got)
			}
			if payload := event.Properties["payload"].Ref; !regexp.MustCompile(`V\d+$`).MatchString(payload) {
				t.Errorf("%s: the payload of %s is %q", union, name, payload)
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, want) || len(s.OneOf) != len(want) || s.Discriminator.PropertyName != "name" {
			t.Errorf("%s is told apart by %s: %v", union, s.Discriminator.PropertyName, names)
		}
	}
}

// exampleRun is what sending an operation's examples has to come to.
type exampleRun struct {
	operation string
	status    int
	path      map[string]string // where the example is of something else
	example   string            // one of several
}

// The examples of the document are sent, in an order in which each can succeed.
// do holds the answers against the document as always.
func TestTheExamplesWork(t *testing.T) {
	t.Parallel()
	spec, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	a := start(t)
	flagged := func() map[string]string {
		id := uuid.New()
		a.decided(id, "process", "first", paying(uuid.New(), "15000.00", "USD", "credit_card"))
		return map[string]string{"payment_id": id.String()}
	}
	untried := make(map[string]bool)
	for _, item := range spec.doc.Paths.Map() {
		for _, op := range item.Operations() {
			untried[op.OperationID] = true
		}
	}
	for _, run := range []exampleRun{
		{operation: "get-liveness", status: 200},
		{operation: "get-readiness", status: 200},
		{operation: "get-metrics", status: 200},
		{operation: "get-openapi", status: 200},
		{operation: "append-users-events", example: "user.created", status: 201},
		{operation: "append-users-events", example: "array", status: 200}, // the same event again
		{operation: "append-users-events", example: "user.updated", status: 201},
		{operation: "get-user", status: 200},
		{operation: "list-users", status: 200},
		{operation: "list-user-history", status: 200},
		{operation: "list-events", status: 200},
		{operation: "get-event", status: 200},
		{operation: "append-users-events", example: "user.deleted", status: 201},
		{operation: "get-user", status: 410},
		{operation: "revert-user", status: 201},
		{operation: "process-payment", status: 200},
		{operation: "get-payment", status: 200},
		{operation: "list-payments", status: 200},
		{operation: "list-payment-history", status: 200},
		{operation: "get-daily-payment-statistics", status: 200},
		{operation: "approve-payment", status: 200, path: flagged()},
		{operation: "reject-payment", status: 200, path: flagged()},
		{operation: "list-views", status: 200},
		{operation: "list-parked", status: 200},
		{operation: "retry-all-parked", status: 202},
		{operation: "retry-parked", status: 404},
		{operation: "rebuild-view", status: 202},
	} {
		delete(untried, run.operation)
		if got := spec.send(a, run); got.status != run.status {
			t.Errorf("%s %s: %d %s", run.operation, run.example, got.status, got.body)
		}
	}
	for _, stream := range []string{"stream-events", "stream-users", "stream-payments"} {
		delete(untried, stream) // they do not end
	}
	if len(untried) > 0 {
		t.Errorf("without an example that is tried: %v", untried)
	}
}

// send sends an operation's example. What it writes is waited for.
func (s *specification) send(a *api, run exampleRun) answer {
	a.t.Helper()
	for path, item := range s.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID != run.operation {
				continue
			}
			query, headers := url.Values{}, []string{"Prefer: wait=10"}
			for _, p := range op.Parameters {
				value := exampleOf(p.Value, run.path)
				switch {
				case p.Value.In == "path":
					path = strings.ReplaceAll(path, "{"+p.Value.Name+"}", value)
				case p.Value.In == "query" && p.Value.Required:
					query.Set(p.Value.Name, value)
				case p.Value.In == "header" && p.Value.Required:
					headers = append(headers, p.Value.Name+": "+value)
				}
			}
			if len(query) > 0 {
				path += "?" + query.Encode()
			}
			return a.do(method, path, bodyOf(a.t, method, op, run.example), headers...)
		}
	}
	a.t.Fatalf("there is no operation %s", run.operation)
	return answer{}
}

func exampleOf(p *openapi3.Parameter, instead map[string]string) string {
	if value, ok := instead[p.Name]; ok {
		return value
	}
	if p.Example != nil {
		return p.Example.(string)
	}
	if len(p.Schema.Value.Examples) > 0 {
		value, _ := p.Schema.Value.Examples[0].(string)
		return value
	}
	return ""
}

func bodyOf(t testing.TB, method string, op *openapi3.Operation, name string) string {
	t.Helper()
	if method != http.MethodPost || op.RequestBody == nil {
		return ""
	}
	media := op.RequestBody.Value.Content["application/json"]
	value := media.Example
	if name != "" {
		value = media.Examples[name].Value.Value
	}
	text, err := json.Marshal(value)
	if err != nil || value == nil {
		t.Fatalf("%s has no example %s: %v", op.OperationID, name, err)
	}
	return string(text)
}

// What would be wrong with an answer is found: each of these differs from a
// good one in one thing.
func TestAnAnswerThatIsNotSpecifiedIsFound(t *testing.T) {
	t.Parallel()
	spec, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	a := start(t)
	id := a.create(ada)
	path := "/v1/users/" + id.String()
	user, events := a.get(path), a.get("/v1/events?limit=1")
	gone := a.get("/v1/users/" + uuid.NewString())
	for what, bad := range map[string]func() (string, answer){
		"a status": func() (string, answer) { return path, answer{http.StatusTeapot, user.header, user.body} },
		"a header": func() (string, answer) {
			h := user.header.Clone()
			h.Set("Retry-After", "1")
			return path, answer{user.status, h, user.body}
		},
		"the request's id": func() (string, answer) {
			h := user.header.Clone()
			h.Del("X-Request-ID")
			return path, answer{user.status, h, user.body}
		},
		"a field":       func() (string, answer) { return path, edited(user, `{`, `{"password":"x",`) },
		"a type":        func() (string, answer) { return path, edited(user, `"version":1`, `"version":"1"`) },
		"an id":         func() (string, answer) { return path, edited(user, id.String(), "7") },
		"a time":        func() (string, answer) { return path, edited(user, `"created_at":"2`, `"created_at":"x2`) },
		"a code":        func() (string, answer) { return path, edited(gone, `"code":"not-found"`, `"code":"lost"`) },
		"an event":      func() (string, answer) { return "/v1/events?limit=1", edited(events, `user.created`, `user.born`) },
		"a payload":     func() (string, answer) { return "/v1/events?limit=1", edited(events, `"email"`, `"mail"`) },
		"a media type":  func() (string, answer) { return path, answer{gone.status, user.header, gone.body} },
		"another route": func() (string, answer) { return "/v1/nothing", user },
	} {
		path, got := bad()
		if spec.check(http.MethodGet, path, got) == nil {
			t.Errorf("%s that is not in the specification is not found", what)
		}
	}
}

func edited(got answer, what, with string) answer {
	got.body = strings.Replace(got.body, what, with, 1)
	return got
}
