package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// Each message of each stream is of the schema that the specification has for
// one.
func TestStreamsAreAsSpecified(t *testing.T) {
	t.Parallel()
	spec, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	a := start(t)
	kept, removed := a.create(ada), a.create(ada)
	change := `{"id":"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01","aggregate_id":"` + removed.String() + `","name":"user.deleted","payload":{}}`
	if got := a.post(change, "Prefer: wait=10"); got.status != http.StatusCreated {
		t.Fatalf("%d %s", got.status, got.body)
	}
	a.decided(uuid.New(), "process", "key", paying(kept, "10.00", "USD", "wallet"))
	for path, wanted := range map[string]int{"/v1/events/stream": 5, "/v1/users/stream": 2, "/v1/payments/stream": 1} {
		schema := spec.doc.Paths.Value(path).Get.Responses.Value("200").Value.Content["text/event-stream"].Schema.Value
		for _, message := range a.messages(path+"?after=0", wanted) {
			if err := schema.VisitJSON(message, openapi3.EnableJSONSchema2020()); err != nil {
				t.Errorf("%s: %v in %v", path, err, message)
			}
			delete(message, "data")
			if schema.VisitJSON(message, openapi3.EnableJSONSchema2020()) == nil {
				t.Errorf("%s: a message without data is one too", path)
			}
		}
	}
}

// messages reads the first messages of a stream, their data as JSON.
func (a *api) messages(path string, n int) (all []map[string]any) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, http.NoBody)
	if err != nil {
		a.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	message := map[string]any{}
	for lines := bufio.NewScanner(response.Body); len(all) < n; {
		if !lines.Scan() {
			a.t.Fatalf("%s ended after %d messages: %v", path, len(all), lines.Err())
		}
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			position, err := strconv.ParseFloat(value, 64)
			if err != nil {
				a.t.Fatal(err)
			}
			message["id"] = position
		case "event":
			message["event"] = value
		case "data":
			var data any
			if err := json.Unmarshal([]byte(value), &data); err != nil {
				a.t.Fatalf("%v in %s", err, value)
			}
			message["data"] = data
		case "":
			if message["data"] != nil {
				all, message = append(all, message), map[string]any{}
			}
		}
	}
	return all
}
