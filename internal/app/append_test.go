package app_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestAppendAnswers walks through the table of CONTRACT section 2.
func TestAppendAnswers(t *testing.T) {
	t.Parallel()
	a := start(t)
	id, user := uuid.New(), uuid.New()
	first := a.post(event(id, user, "user.created", ada))
	if first.status != 201 || first.header.Get("Location") != "/v1/events/"+id.String() || !strings.Contains(first.body, `"version":1,"position":1`) {
		t.Errorf("appended: %d %v %s", first.status, first.header, first.body)
	}
	again := a.post(event(id, user, "user.created", `{"email":"ada@example.com", "name":"Ada \u004covelace"}`))
	if want := strings.Replace(first.body, "false", "true", 1); again.status != 200 || again.body != want {
		t.Errorf("repeated: %d %s, want %s", again.status, again.body, want)
	}
	for what, c := range map[string]struct {
		body, header string
		status       int
		code         string
		current      string
	}{
		"reused id":             {event(id, user, "user.created", `{"name":"B","email":"b@example.com"}`), "", 422, "event-id-reused", ""},
		"creating twice":        {event(uuid.New(), user, "user.created", ada), "", 409, "aggregate-exists", `"current_version":1`},
		"If-Match differs":      {event(uuid.New(), user, "user.updated", `{"name":"B"}`), `If-Match: "3"`, 412, "version-conflict", `"current_version":1`},
		"If-Match is malformed": {event(uuid.New(), user, "user.updated", `{"name":"B"}`), `If-Match: 1`, 400, "bad-parameter", ""},
		"If-Match for several": {
			"[" + event(uuid.New(), user, "user.updated", `{"name":"B"}`) + "," + event(uuid.New(), uuid.New(), "user.created", ada) + "]",
			`If-Match: "1"`, 400, "bad-parameter", "",
		},
		"expected version differs": {
			strings.Replace(event(uuid.New(), user, "user.updated", `{"name":"B"}`), "{", `{"expected_version":4,`, 1), "", 409, "version-conflict", `"current_version":1`,
		},
	} {
		headers := []string{}
		if c.header != "" {
			headers = append(headers, c.header)
		}
		got := a.post(c.body, headers...)
		if got.status != c.status || got.code() != c.code || !strings.Contains(got.body, c.current) {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
		if got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: content type %s", what, got.header.Get("Content-Type"))
		}
	}
	pair := "[" + event(uuid.New(), user, "user.updated", `{"name":"B"}`) + "," + event(uuid.New(), user, "user.deleted", `{}`) + "]"
	if got := a.post(pair, `If-Match: "1"`); got.status != 201 || !strings.HasPrefix(got.body, `{"events":[{`) || !strings.Contains(got.body, `"version":3,"position":3`) {
		t.Errorf("array: %d %s", got.status, got.body)
	}
	if got := a.post(pair); got.status != 200 || strings.Count(got.body, `"duplicate":true`) != 2 {
		t.Errorf("array again: %d %s", got.status, got.body)
	}
	if got := a.post(event(uuid.New(), user, "user.updated", `{"name":"C"}`)); got.status != 409 || got.code() != "aggregate-deleted" {
		t.Errorf("after the end: %d %s", got.status, got.body)
	}
}

// TestAnArrayIsAllOrNothing refuses a good event for the sake of a bad one, and
// takes the rest of an array whose first half is known.
func TestAnArrayIsAllOrNothing(t *testing.T) {
	t.Parallel()
	a := start(t)
	var good []string
	for range 1000 {
		good = append(good, event(uuid.New(), uuid.New(), "user.created", `{"name":"A","email":"a@example.com"}`))
	}
	bad := event(uuid.New(), uuid.New(), "user.updated", `{"name":"B"}`)
	if got := a.post("[" + good[0] + "," + bad + "]"); got.status != 409 {
		t.Errorf("%d %s", got.status, got.body)
	}
	var log struct{ Items []struct{} }
	if a.get("/v1/events").into(t, &log); len(log.Items) != 0 {
		t.Errorf("half an array was stored")
	}
	if got := a.post("[" + strings.Join(good[:500], ",") + "]"); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	got := a.post("[" + strings.Join(good, ",") + "]")
	if got.status != 201 || strings.Count(got.body, `"duplicate":true`) != 500 || strings.Count(got.body, `"duplicate":false`) != 500 {
		t.Errorf("half known: %d with %d duplicates", got.status, strings.Count(got.body, `"duplicate":true`))
	}
	if !strings.Contains(got.body, fmt.Sprintf(`"position":%d,`, 1000)) {
		t.Errorf("the last position is not 1000")
	}
}
