package app_test

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// poison records an event past the checks of the API, as a bug of ours could.
func (a *api) poison(id uuid.UUID) {
	a.t.Helper()
	_, err := connect(a.t, a.database).Exec(`SELECT * FROM append_events(ARRAY[?]::uuid[], ARRAY[?]::uuid[], ARRAY['user.updated'], ARRAY['{"name":5}']::json[])`,
		uuid.New(), id)
	if err != nil {
		a.t.Fatal(err)
	}
}

type viewList struct {
	Items []struct {
		Name, Status, Reason       string
		Position, Parked, Revision int
		Head                       int `json:"head_position"`
		Rebuild                    *struct{ Position, Of int }
	}
}

// views waits for a state of the view users.
func (a *api) untilView(what string, ok func(viewList) bool) {
	a.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		var list viewList
		got := a.get("/v1/views")
		got.into(a.t, &list)
		if len(list.Items) > 0 && list.Items[0].Name == "users" && ok(list) {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("the view is not %s: %s", what, got.body)
		}
	}
}

// A parked aggregate is listed with its event, a write to it is not said to be
// shown, and it is tried again when asked.
func TestWhatIsParkedIsListedAndTriedAgain(t *testing.T) {
	t.Parallel()
	a := start(t)
	sick, well := a.create(ada), a.create(ada)
	a.poison(sick)
	a.untilView("parked", func(l viewList) bool { return l.Items[0].Parked == 1 })
	var parked struct {
		Items []struct {
			Aggregate uuid.UUID `json:"aggregate_id"`
			Error     string
			Attempts  int
			Event     struct {
				Name    string
				Version int
				Payload struct{ Name int }
			}
		}
		Next *string `json:"next_cursor"`
	}
	got := a.get("/v1/views/users/parked")
	got.into(t, &parked)
	if len(parked.Items) != 1 || parked.Items[0].Aggregate != sick || parked.Items[0].Event.Payload.Name != 5 || parked.Items[0].Event.Version != 2 || parked.Next != nil {
		t.Errorf("%d %s", got.status, got.body)
	}
	for id, shown := range map[uuid.UUID]bool{sick: false, well: true} {
		got := a.post(event(uuid.New(), id, "user.updated", `{"name":"B"}`), "Prefer: wait=1")
		if got.status != http.StatusCreated || (got.header.Get("Preference-Applied") != "") != shown {
			t.Errorf("shown %t: %d %v", shown, got.status, got.header)
		}
	}
	retry := "/v1/views/users/parked/" + sick.String() + "/retry"
	if got := a.do(http.MethodPost, retry, ""); got.status != http.StatusAccepted || !strings.Contains(got.body, `"retried":1`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := a.do(http.MethodPost, "/v1/views/users/parked/retry", ""); got.status != http.StatusAccepted || !strings.Contains(got.body, `"retried":1`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Pages of what is parked join without gap or repetition.
func TestWhatIsParkedIsPaged(t *testing.T) {
	t.Parallel()
	a := start(t)
	var want, got []string
	for range 5 {
		id := a.create(ada)
		a.poison(id)
		want = append(want, id.String())
	}
	a.untilView("parked", func(l viewList) bool { return l.Items[0].Parked == 5 })
	path := "/v1/views/users/parked?limit=2"
	for path != "" {
		answer := a.get(path)
		for _, found := range regexp.MustCompile(`"aggregate_id":"([^"]+)","error"`).FindAllStringSubmatch(answer.body, -1) {
			got = append(got, found[1])
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(answer.header.Get("Link"), "<"), ">")
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if answer := a.get("/v1/views/users/parked?cursor=nonsense"); answer.status != 400 || answer.code() != "bad-parameter" {
		t.Errorf("%d %s", answer.status, answer.body)
	}
}

func TestAViewIsRebuiltOverHTTP(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := a.create(ada)
	if _, err := connect(t, a.database).Exec("UPDATE users SET name = 'Nobody'"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := a.do(http.MethodPost, "/v1/views/users/rebuild", ""); got.status != http.StatusAccepted || got.header.Get("Location") != "/v1/views" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	a.untilView("rebuilt", func(l viewList) bool { return l.Items[0].Rebuild == nil })
	if got := a.get("/v1/users/" + id.String()); !strings.Contains(got.body, "Ada Lovelace") {
		t.Errorf("%d %s", got.status, got.body)
	}
	id = a.create(ada) // it goes on
	for path, method := range map[string]string{
		"/v1/views/nobody/rebuild": http.MethodPost, "/v1/views/nobody/parked": http.MethodGet, "/v1/views/nobody/parked/retry": http.MethodPost,
		"/v1/views/users/parked/" + id.String() + "/retry": http.MethodPost,
	} {
		if got := a.do(method, path, ""); got.status != http.StatusNotFound || got.code() != "not-found" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// Every metric that the example alert rules name is really exported.
func TestTheAlertRulesNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	rules, err := os.ReadFile("../aggregator/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a := start(t)
	a.poison(a.create(ada))
	a.untilView("parked", func(l viewList) bool { return l.Items[0].Parked == 1 })
	// A rebuild that stays: only then is there anything to say about one.
	if _, err := connect(t, a.database).Exec("INSERT INTO view_positions (view, halted) VALUES ('users_rebuild', 'for the test')"); err != nil {
		t.Fatal(err)
	}
	exported := a.get("/metrics").body
	names := regexp.MustCompile(`onepg_[a-z_]+`).FindAllString(string(rules), -1)
	if len(names) < 10 {
		t.Errorf("the rules name only %q", names)
	}
	for _, name := range names {
		if !regexp.MustCompile(`(?m)^` + name + `(\{| )`).MatchString(exported) {
			t.Errorf("%s is not exported", name)
		}
	}
	if !strings.Contains(exported, `onepg_view_halted{view="users"} 1`) || !strings.Contains(exported, `onepg_view_parked_aggregates{view="users"} 1`) {
		t.Error("what is halted and parked is not said to be")
	}
}
