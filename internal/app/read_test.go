package app_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

type user struct {
	ID      uuid.UUID
	Name    string
	Email   string
	Version int
}

type userPage struct {
	Items []user
	Next  *string `json:"next_cursor"`
}

func connect(t testing.TB, database string) *bun.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: database, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestOneUserIsReadWithItsVersion(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := a.create(ada)
	path := "/v1/users/" + id.String()
	got := a.get(path)
	if got.status != 200 || got.header.Get("ETag") != `"1"` || !strings.Contains(got.body, `"name":"Ada Lovelace"`) {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	for header, want := range map[string]int{
		`If-None-Match: "1"`: 304, `If-None-Match: "0", W/"1"`: 304, `If-None-Match: *`: 304, `If-None-Match: "2"`: 200,
	} {
		if got := a.get(path, header); got.status != want || got.header.Get("ETag") != `"1"` {
			t.Errorf("%s: %d with ETag %s, want %d", header, got.status, got.header.Get("ETag"), want)
		}
	}
	if got := a.get("/v1/users/" + strings.ToUpper(id.String())); got.status != 200 {
		t.Errorf("upper case: %d", got.status)
	}
	a.post(event(uuid.New(), id, "user.deleted", `{"reason":"asked"}`), "Prefer: wait=10")
	if got := a.get(path); got.status != 410 || got.code() != "gone" {
		t.Errorf("deleted: %d %s", got.status, got.body)
	}
	if got := a.get("/v1/users/" + uuid.NewString()); got.status != 404 || got.code() != "not-found" {
		t.Errorf("unknown: %d %s", got.status, got.body)
	}
	if got := a.get("/v1/users/nonsense"); got.status != 400 || got.code() != "bad-parameter" {
		t.Errorf("no id: %d %s", got.status, got.body)
	}
}

func TestAReadWaitsForItsVersion(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := a.create(ada)
	for version := 2; version < 20; version++ {
		a.post(event(uuid.New(), id, "user.updated", fmt.Sprintf(`{"name":"Ada %d"}`, version)))
		got := a.get(fmt.Sprintf("/v1/users/%s?min_version=%d", id, version), "Prefer: wait=10")
		if got.status != 200 || !strings.Contains(got.body, fmt.Sprintf("Ada %d", version)) || got.header.Get("Preference-Applied") != "wait=10" {
			t.Fatalf("version %d: %d %v %s", version, got.status, got.header, got.body)
		}
	}
	if got := a.get("/v1/users/" + id.String() + "?min_version=99"); got.status != 504 || got.code() != "view-behind" {
		t.Errorf("without patience: %d %s", got.status, got.body)
	}
	started := time.Now()
	if got := a.get("/v1/users/"+uuid.NewString()+"?min_version=1", "Prefer: wait=1"); got.status != 504 || time.Since(started) < time.Second {
		t.Errorf("in vain: %d after %v", got.status, time.Since(started))
	}
}

func TestListsArePagedSortedAndFiltered(t *testing.T) {
	t.Parallel()
	a := start(t)
	names := []string{"bob", "Ada", "Ádám", "adam", "Bea", "ad_hoc", "Zoe", "100% Eva"}
	for i, name := range names {
		a.create(fmt.Sprintf(`{"name":%q,"email":"u%d@Example.com"}`, name, i))
	}
	for query, want := range map[string][]string{
		"":                                      {"100% Eva", "Zoe", "ad_hoc", "Bea", "adam", "Ádám", "Ada", "bob"},
		"sort=created_at":                       names,
		"sort=-updated_at":                      {"100% Eva", "Zoe", "ad_hoc", "Bea", "adam", "Ádám", "Ada", "bob"},
		"sort=name":                             {"100% Eva", "ad_hoc", "Ada", "adam", "Bea", "bob", "Zoe", "Ádám"},
		"sort=-name":                            {"Ádám", "Zoe", "bob", "Bea", "adam", "Ada", "ad_hoc", "100% Eva"},
		"sort=name&name=AD":                     {"ad_hoc", "Ada", "adam"},
		"name=ad_":                              {"ad_hoc"},
		"name=" + url.QueryEscape("100%"):       {"100% Eva"},
		"email=U3@example.COM":                  {"adam"},
		"email=nobody@example.com":              nil,
		"sort=name&name=a&email=u1@EXAMPLE.com": {"Ada"},
	} {
		for _, limit := range []int{1, 3, 500} {
			if got := a.walk(fmt.Sprintf("/v1/users?limit=%d&%s", limit, query)); !slices.Equal(got, want) {
				t.Errorf("%s by %d: %q, want %q", query, limit, got, want)
			}
		}
	}
}

// walk follows the Link headers and checks that the cursors agree with them.
func (a *api) walk(path string) []string {
	a.t.Helper()
	var names []string
	for path != "" {
		got := a.get(path)
		if got.status != 200 {
			a.t.Fatalf("%s: %d %s", path, got.status, got.body)
		}
		var page userPage
		got.into(a.t, &page)
		for _, u := range page.Items {
			names = append(names, u.Name)
		}
		link := got.header.Get("Link")
		if (link == "") != (page.Next == nil) {
			a.t.Fatalf("%s: Link %q, cursor %v", path, link, page.Next)
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
	}
	return names
}

func TestBadListParametersAreRefused(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.create(ada)
	a.create(ada)
	var page userPage
	a.get("/v1/users?limit=1&sort=name").into(t, &page)
	for _, query := range []string{
		"limit=0", "limit=501", "limit=x", "sort=age", "limt=1", "limit=1&limit=2",
		"cursor=nonsense", "cursor=" + *page.Next, "sort=name&name=a&cursor=" + *page.Next, "name=%00", "email=%ff",
	} {
		if got := a.get("/v1/users?" + query); got.status != 400 || got.code() != "bad-parameter" {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
}

func TestTheLogIsReadInOrder(t *testing.T) {
	t.Parallel()
	a := start(t)
	first, second := a.create(ada), a.create(ada)
	a.post(event(uuid.New(), first, "user.updated", `{"name":"B"}`))
	for query, want := range map[string]string{
		"":                                "[1 2 3]",
		"after=1":                         "[2 3]",
		"after=3":                         "[]",
		"limit=2":                         "[1 2]",
		"aggregate=user":                  "[1 2 3]",
		"aggregate=payment":               "[]",
		"name=user.updated":               "[3]",
		"aggregate_id=" + first.String():  "[1 3]",
		"aggregate_id=" + second.String(): "[2]",
		"aggregate_id=" + first.String() + "&after=1": "[3]",
	} {
		var page struct{ Items []struct{ Position int } }
		got := a.get("/v1/events?" + query)
		got.into(t, &page)
		positions := []int{}
		for _, e := range page.Items {
			positions = append(positions, e.Position)
		}
		if fmt.Sprint(positions) != want {
			t.Errorf("%s: %v, want %s", query, positions, want)
		}
	}
	if got := a.get("/v1/events?limit=2"); got.header.Get("Link") != `</v1/events?after=2&limit=2>; rel="next"` {
		t.Errorf("Link is %s", got.header.Get("Link"))
	}
	for _, query := range []string{"after=-1", "after=x", "aggregate_id=x", "limit=9999"} {
		if got := a.get("/v1/events?" + query); got.status != 400 || got.code() != "bad-parameter" {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	if got := a.get("/v1/events/" + uuid.NewString()); got.status != 404 {
		t.Errorf("unknown event: %d", got.status)
	}
}

// P8: a notification that is lost costs delay, never data.
func TestViewsFollowWithoutNotifications(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	db := connect(t, database)
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE events DISABLE TRIGGER events_notify_created"); err != nil {
		t.Fatal(err)
	}
	a := startOn(t, database)
	for range 3 {
		id := uuid.New()
		started := time.Now()
		a.post(event(uuid.New(), id, "user.created", ada))
		if got := a.get("/v1/users/"+id.String()+"?min_version=1", "Prefer: wait=10"); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
		// The promise is 1.5 s; the rest is for a busy machine.
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("visible after %v", took)
		}
	}
}

// P7 and D6: two programs on one database share the work, and both answer.
func TestTwoProgramsShareOneDatabase(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	programs := []*api{startOn(t, database), startOn(t, database)}
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	for _, id := range ids {
		programs[0].post(event(uuid.New(), id, "user.created", ada))
	}
	const rounds = 100
	var writers sync.WaitGroup
	for i := range 6 {
		writers.Go(func() {
			for n := range rounds {
				got := programs[i%2].post(event(uuid.New(), ids[i/2], "user.updated", fmt.Sprintf(`{"name":"%d-%d"}`, i, n)))
				if got.status != http.StatusCreated {
					t.Errorf("%d %s", got.status, got.body)
				}
			}
		})
	}
	writers.Wait()
	for _, id := range ids {
		path := fmt.Sprintf("/v1/users/%s?min_version=%d", id, 1+2*rounds)
		one, two := programs[0].get(path, "Prefer: wait=10"), programs[1].get(path, "Prefer: wait=10")
		if one.status != 200 || one.body != two.body {
			t.Errorf("%d %s and %d %s", one.status, one.body, two.status, two.body)
		}
	}
	// Each event moved its lock by exactly one: the locks add up to the log.
	var applied int
	err := connect(t, database).NewRaw("SELECT sum(version) FROM view_locks WHERE view = 'users'").Scan(context.WithoutCancel(t.Context()), &applied)
	if err != nil || applied != 3+6*rounds {
		t.Errorf("%d events applied, want %d (%v)", applied, 3+6*rounds, err)
	}
}

func TestWaitingIsAnsweredAtOnceByWhoeverAppliesIt(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	programs := []*api{startOn(t, database), startOn(t, database)}
	for i := range 20 {
		id := uuid.New()
		got := programs[i%2].post(event(uuid.New(), id, "user.created", ada), "Prefer: wait=10")
		if got.status != 201 || got.header.Get("Preference-Applied") != "wait=10" {
			t.Fatalf("%d %v %s", got.status, got.header, got.body)
		}
		if got := programs[1-i%2].get("/v1/users/" + id.String()); got.status != 200 {
			t.Errorf("waited for and not there: %d %s", got.status, got.body)
		}
	}
}

func TestViewsSayHowFarTheyAre(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.create(ada)
	var list struct {
		Items []struct {
			Name, Status string
			Position     int
		}
	}
	got := a.get("/v1/views")
	got.into(t, &list)
	if len(list.Items) == 0 || list.Items[0].Name != "users" || list.Items[0].Status != "live" || list.Items[0].Position != 1 {
		t.Errorf("%s", got.body)
	}
}
