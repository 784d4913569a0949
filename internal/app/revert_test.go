package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// revert asks for a user to be put back, as the event with this id.
func (a *api) revert(user, id uuid.UUID, version int, headers ...string) answer {
	a.t.Helper()
	return a.do(http.MethodPost, "/v1/users/"+user.String()+"/revert", fmt.Sprintf(`{"id":%q,"to_version":%d}`, id, version), headers...)
}

func TestARevertPutsBackWhatWasAndKeepsTheHistory(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := uuid.New()
	created := a.append(id, "user.created", ada)
	a.append(id, "user.updated", `{"name":"Ada King","email":"king@example.com"}`)
	event := uuid.New()
	got := a.revert(id, event, 1, "Prefer: wait=10", `If-Match: "2"`)
	if got.status != 201 || got.header.Get("Location") != "/v1/events/"+event.String() || got.header.Get("Preference-Applied") != "wait=10" ||
		!strings.Contains(got.body, `"version":3,"position":3`) || !strings.Contains(got.body, `"duplicate":false`) {
		t.Fatalf("%d %v %s", got.status, got.header, got.body)
	}
	row := a.get("/v1/users/" + id.String())
	for _, want := range []string{`"name":"Ada Lovelace","email":"ada@example.com","version":3`, created.RecordedAt.Format(`"created_at":"2006-01-02T15:04:05.000000Z"`)} {
		if !strings.Contains(row.body, want) {
			t.Errorf("no %s in %s", want, row.body)
		}
	}
	again := a.revert(id, event, 1, `If-Match: "2"`)
	if want := strings.Replace(got.body, "false", "true", 1); again.status != 200 || again.body != want {
		t.Errorf("repeated: %d %s, want %s", again.status, again.body, want)
	}
	if reused := a.revert(id, event, 2); reused.status != 422 || reused.code() != "event-id-reused" {
		t.Errorf("the id for something else: %d %s", reused.status, reused.body)
	}
	a.append(id, "user.deleted", `{}`)
	if late := a.revert(id, event, 1); late.status != 200 || late.body != again.body {
		t.Errorf("repeated after the end: %d %s", late.status, late.body)
	}
	if got := a.revert(id, uuid.New(), 2, "Prefer: wait=10"); got.status != 201 {
		t.Fatalf("after the end: %d %s", got.status, got.body)
	}
	if row := a.get("/v1/users/" + id.String()); row.status != 200 || !strings.Contains(row.body, `"name":"Ada King","email":"king@example.com","version":5`) {
		t.Errorf("brought back as %d %s", row.status, row.body)
	}
	var names []string
	for _, r := range a.history(id, 10) {
		names = append(names, r.Name)
	}
	if want := []string{"user.reverted", "user.deleted", "user.reverted", "user.updated", "user.created"}; !slices.Equal(names, want) {
		t.Errorf("history %v", names)
	}
}

func TestWhatCannotBePutBackIsRefused(t *testing.T) {
	t.Parallel()
	a := start(t)
	id, other := uuid.New(), uuid.New()
	a.append(id, "user.created", ada)
	a.append(id, "user.deleted", `{}`)
	path := "/v1/users/" + id.String() + "/revert"
	body := func(event, version string) string { return `{"id":` + event + `,"to_version":` + version + `}` }
	quoted := `"` + other.String() + `"`
	for what, c := range map[string]struct {
		path, body, header string
		status             int
		code, pointer      string
	}{
		"a version that never was":   {path, body(quoted, "3"), "", 422, "validation-failed", "/to_version"},
		"the version of the end":     {path, body(quoted, "2"), "", 422, "validation-failed", "/to_version"},
		"version 0":                  {path, body(quoted, "0"), "", 422, "validation-failed", "/to_version"},
		"a version of no integer":    {path, body(quoted, "2147483648"), "", 422, "validation-failed", "/to_version"},
		"version 1.5":                {path, body(quoted, "1.5"), "", 422, "validation-failed", "/to_version"},
		"no version":                 {path, `{"id":` + quoted + `}`, "", 422, "validation-failed", "/to_version"},
		"no id":                      {path, `{"to_version":1}`, "", 422, "validation-failed", "/id"},
		"an id that is none":         {path, body(`"x"`, "1"), "", 422, "validation-failed", "/id"},
		"the nil id":                 {path, body(`"00000000-0000-0000-0000-000000000000"`, "1"), "", 422, "validation-failed", "/id"},
		"another field":              {path, `{"id":` + quoted + `,"to_version":1,"name":"x"}`, "", 422, "validation-failed", "/name"},
		"no object":                  {path, `[]`, "", 422, "validation-failed", ""},
		"a field twice":              {path, `{"id":` + quoted + `,"to_version":1,"to_version":1}`, "", 400, "malformed-body", "-"},
		"nobody":                     {"/v1/users/" + other.String() + "/revert", body(quoted, "1"), "", 404, "not-found", "-"},
		"If-Match differs":           {path, body(quoted, "1"), `If-Match: "1"`, 412, "version-conflict", "-"},
		"If-Match is malformed":      {path, body(quoted, "1"), `If-Match: 2`, 400, "bad-parameter", "-"},
		"If-Match is weak":           {path, body(quoted, "1"), `If-Match: W/"2"`, 412, "version-conflict", "-"},
		"nobody, If-Match is any":    {"/v1/users/" + other.String() + "/revert", body(quoted, "1"), `If-Match: *`, 404, "not-found", "-"},
		"clients do not revert":      {"/v1/users/events", event(other, id, "user.reverted", `{}`), "", 422, "validation-failed", "/name"},
		"an event that has happened": {path, body(`"`+a.everything()[0].ID.String()+`"`, "1"), "", 422, "event-id-reused", "-"},
	} {
		got := a.do(http.MethodPost, c.path, c.body, slices.DeleteFunc([]string{c.header}, func(h string) bool { return h == "" })...)
		if got.status != c.status || got.code() != c.code {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
		if c.pointer != "-" && !strings.Contains(got.body, `"pointer":"`+c.pointer+`"`) {
			t.Errorf("%s: no mistake at %s in %s", what, c.pointer, got.body)
		}
		if c.status == 412 && !strings.Contains(got.body, `"current_version":2`) {
			t.Errorf("%s: %s", what, got.body)
		}
	}
	if n := len(a.everything()); n != 2 {
		t.Errorf("%d events are stored", n)
	}
}

// TestRevertsRaceWithChanges lets many change one user at once, reverts among
// them: each wins or is told that it lost, and the versions have no gaps.
func TestRevertsRaceWithChanges(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := a.create(ada)
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := make(map[int]int)
	for range 8 {
		all.Go(func() {
			for range 10 {
				a.post(event(uuid.New(), id, "user.updated", `{"name":"Ada King"}`))
				got := a.revert(id, uuid.New(), 1)
				mu.Lock()
				statuses[got.status]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if statuses[201]+statuses[409] != 80 || statuses[201] == 0 {
		t.Errorf("answers %v", statuses)
	}
	history := a.history(id, 50)
	if want := 1 + 80 + statuses[201]; len(history) != want || history[0].Version != want {
		t.Errorf("%d changes up to version %d, want %d", len(history), history[0].Version, want)
	}
}
