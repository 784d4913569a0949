package app_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/net/html"

	"onepg/internal/httpapi"
	"onepg/internal/postgres/pgtest"
)

// screens are the addresses of every page, for one user and one event.
func screens(user, event uuid.UUID) []string {
	return []string{
		"/console", "/console/events", "/console/events?name=user.created&actor=anonymous", "/console/events?from=1",
		"/console/events/" + event.String(), "/console/aggregates/" + user.String(), "/console/aggregates/" + user.String() + "?version=1",
		"/console/aggregates/" + user.String() + "/state?version=1", "/console/views", "/console/views/users",
		"/console/catalogue", "/console/append", "/console/append/users/user.created", "/console/append/users/user.updated",
	}
}

// form posts a form as a page of the console does.
func (a *api) form(path string, values url.Values, headers ...string) answer {
	a.t.Helper()
	return a.browse(http.MethodPost, path, values.Encode(), append(headers, "Content-Type: application/x-www-form-urlencoded")...)
}

// browse sends a request and follows no redirect.
func (a *api) browse(method, path, body string, headers ...string) answer {
	a.t.Helper()
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return a.exchange(http.Client{CheckRedirect: stay}, method, path, body, headers...)
}

// wellFormed complains about elements that are not closed, or twice, about ids
// that are there twice, and about anything the policy would not let work.
func wellFormed(t *testing.T, path, page string) {
	t.Helper()
	void := []string{"meta", "link", "input", "br", "img", "hr"}
	var open []string
	ids := map[string]bool{}
	tokens := html.NewTokenizer(strings.NewReader(page))
	for {
		switch kind := tokens.Next(); kind { //nolint:exhaustive // the rest has no structure
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("%s: %v are not closed", path, open)
			}
			return
		case html.StartTagToken, html.EndTagToken:
			token := tokens.Token()
			switch {
			case slices.Contains(void, token.Data):
			case kind == html.StartTagToken:
				open = append(open, token.Data)
			case len(open) == 0 || open[len(open)-1] != token.Data:
				t.Fatalf("%s: </%s> in %v", path, token.Data, open)
			default:
				open = open[:len(open)-1]
			}
			for _, a := range token.Attr {
				if a.Key == "id" && ids[a.Val] {
					t.Errorf("%s: two elements have the id %s", path, a.Val)
				}
				ids[a.Val] = ids[a.Val] || a.Key == "id"
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") {
					t.Errorf("%s: <%s %s=%q>", path, token.Data, a.Key, a.Val)
				}
			}
		}
	}
}

func TestEveryPageOfTheConsoleIsWholeAndUnderThePolicy(t *testing.T) {
	t.Parallel()
	a := start(t)
	user := uuid.New()
	first := a.append(user, "user.created", ada).ID
	a.append(user, "user.updated", `{"name":"Ada King"}`)
	pages := append(screens(user, first), "/console/sign-in", "/console/nothing", "/console/events/nothing", "/console/aggregates/"+uuid.NewString(),
		"/console/events?from=x", "/console/events?aggregate_id=x", "/console/events?since=yesterday", "/console/events?actor=%00", "/console/views/nobody",
		"/console/append/users/user.reverted", "/console/find?q=nothing", "/console/aggregates/"+user.String()+"?version=9")
	for i, path := range pages {
		got := a.browse(http.MethodGet, path, "")
		if fine := i < len(screens(user, first))+1; fine != (got.status == 200) || got.status >= 500 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if got.header.Get("Content-Security-Policy") != httpapi.PagePolicy || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %v", path, got.header)
		}
		if !strings.HasPrefix(got.body, "<!doctype html>") || strings.Count(got.body, "<h1>") != 1 || !strings.Contains(got.body, `<html lang="en">`) {
			t.Errorf("%s: %s", path, got.body)
		}
		wellFormed(t, path, got.body)
		if head := a.browse(http.MethodHead, path, ""); head.status != got.status || head.body != "" {
			t.Errorf("HEAD %s: %d", path, head.status)
		}
	}
	for _, asset := range regexp.MustCompile(`(?:href|src)="(/console/assets/[^"]+)"`).FindAllStringSubmatch(a.get("/console").body, -1) {
		if got := a.get(html.UnescapeString(asset[1])); got.status != 200 || !strings.Contains(got.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", asset[1], got.status, got.header)
		}
	}
}

// hostile is markup that would run, or break the page, if it were not escaped.
const hostile = `"><script>document.title='owned'</script><img src=x onerror=document.title='owned'>'{{7*7}}</pre></textarea>`

// Whatever clients can write and the console shows is text on every page.
func TestWhatClientsWriteIsTextOnEveryPage(t *testing.T) {
	t.Parallel()
	a := start(t)
	user := uuid.New()
	quoted := strings.NewReplacer(`"`, `\"`).Replace(hostile)
	metadata := `,"metadata":{"correlation_id":"` + quoted + `","causation_id":"` + quoted + `","` + quoted + `":"` + quoted + `"}}`
	id := uuid.New()
	created := strings.TrimSuffix(event(id, user, "user.created", `{"name":"`+quoted+`","email":"ada@example.com"}`), "}") + metadata
	if got := a.post(created, "Prefer: wait=10"); got.status != http.StatusCreated {
		t.Fatalf("%d %s", got.status, got.body)
	}
	shown := 0
	q := url.QueryEscape(hostile)
	pages := append(screens(user, id), "/console/events?actor="+q+"&correlation_id="+q, "/console/events?since="+q, "/console/find?q="+q,
		"/console/sign-in?next="+q, "/console/append/users/user.updated?aggregate_id="+q, "/console/views/"+url.PathEscape(hostile), "/console?done="+q)
	for _, path := range pages {
		got := a.get(path)
		wellFormed(t, path, got.body)
		if strings.Contains(got.body, "<script>document") || strings.Contains(got.body, "<img") || strings.Contains(got.body, "49</pre>") {
			t.Errorf("%s: %s", path, got.body)
		}
		if strings.Contains(html.UnescapeString(got.body), "onerror=document.title") {
			shown++
		}
	}
	if shown < 8 {
		t.Errorf("only %d pages show it at all", shown)
	}
	wrong := a.form("/console/append/users/user.created", url.Values{"id": {hostile}, "aggregate_id": {hostile}, "payload.name": {hostile}, "payload.email": {hostile}, "correlation_id": {hostile}})
	wellFormed(t, "the form", wrong.body)
	if wrong.status != 422 || strings.Contains(wrong.body, "<img") {
		t.Errorf("%d %s", wrong.status, wrong.body)
	}
}

// Who may look sees no button and is refused every change; who may write is, too,
// without the console's own scope; who has both may.
func TestTheConsoleIsReadOnlyWithoutItsScope(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, database, "--auth=keys", "--rate=1000", "--rate-burst=1000")
	looks := makeKey(t, database, "looks", "events:read")
	writes := makeKey(t, database, "writes", "events:read", "users:write")
	acts := makeKey(t, database, "acts", "events:read", "views:admin")
	all := makeKey(t, database, "all", "events:read", "views:admin", "users:write")
	other := makeKey(t, database, "other", "users:read")
	user := uuid.New()
	id := uuid.New()
	a.post(event(id, user, "user.created", ada), all)
	a.post(event(uuid.New(), user, "user.updated", `{"name":"B"}`), all, "Prefer: wait=10")
	for _, path := range screens(user, id)[:12] {
		if got := a.get(path, looks); got.status != 200 || regexp.MustCompile(`method="post" action="/console/[^s]`).MatchString(got.body) {
			t.Errorf("%s to look at: %d %s", path, got.status, got.body)
		}
		if got := a.get(path, other); got.status != 403 || !strings.Contains(got.body, "<h1>Forbidden") {
			t.Errorf("%s without the scope: %d", path, got.status)
		}
		if got := a.get(path); got.status != 401 || !strings.Contains(got.body, `action="/console/sign-in"`) {
			t.Errorf("%s as nobody: %d", path, got.status)
		}
	}
	revert := url.Values{"event_id": {uuid.NewString()}, "to_version": {"1"}, "seen_version": {"2"}}
	created := url.Values{"id": {uuid.NewString()}, "aggregate_id": {uuid.NewString()}, "payload.name": {"A"}, "payload.email": {"a@example.com"}}
	for path, c := range map[string]struct {
		values url.Values
		needs  []string
	}{
		"/console/views/users/rebuild":             {nil, []string{acts, all}},
		"/console/views/users/retry":               {nil, []string{acts, all}},
		"/console/append/users/user.created":       {created, []string{all}},
		"/console/revert/users/" + user.String():   {revert, []string{all}},
		"/console/views/users/parked/nobody/retry": {nil, nil},
	} {
		for _, key := range []string{looks, writes, acts, all} {
			want := 403
			if slices.Contains(c.needs, key) {
				want = 303
			} else if c.needs == nil && (key == acts || key == all) {
				want = 400
			}
			if got := a.form(path, c.values, key); got.status != want {
				t.Errorf("%s: %d, want %d: %s", path, got.status, want, got.body)
			}
		}
		if got := a.form(path, c.values); got.status != 401 {
			t.Errorf("%s as nobody: %d", path, got.status)
		}
	}
	var row struct{ Name string }
	a.get("/v1/users/"+user.String()+"?min_version=3", makeKey(t, database, "reads", "users:read"), "Prefer: wait=10").into(t, &row)
	if row.Name != "Ada Lovelace" {
		t.Errorf("after the revert the name is %q", row.Name)
	}
}

// What another site makes a browser send is refused, with access control and
// without.
func TestTheConsoleRefusesWhatOtherSitesMakeABrowserSend(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	open, closed := startOn(t, database), startOn(t, database, "--auth=keys")
	key := makeKey(t, database, "all", "events:read", "views:admin", "users:write")
	paths := []string{"/console/views/users/rebuild", "/console/views/users/retry", "/console/append/users/user.created", "/console/sign-in", "/console/sign-out"}
	for _, path := range paths {
		for what, c := range map[string]struct {
			header string
			from   bool
		}{
			"a cross-site request":     {"Sec-Fetch-Site: cross-site", true},
			"one of a sister site":     {"Sec-Fetch-Site: same-site", true},
			"another origin":           {"Origin: https://evil.example", true},
			"no origin that is a page": {"Origin: null", true},
			"our own page":             {"Sec-Fetch-Site: same-origin", false},
			"our own origin":           {"Origin: " + open.url, false},
		} {
			if got := open.form(path, nil, c.header); (got.status == 403) != c.from {
				t.Errorf("%s to %s: %d %s", what, path, got.status, got.body)
			}
			if c.header == "Origin: "+open.url {
				c.header = "Origin: " + closed.url
			}
			if got := closed.form(path, nil, c.header, key); (got.status == 403) != c.from {
				t.Errorf("%s to %s with a key: %d %s", what, path, got.status, got.body)
			}
		}
	}
}

// Somebody signs in, is known on the console and nowhere else, and signs out.
func TestPeopleSignInToTheConsole(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, database, "--auth=keys")
	key := strings.TrimPrefix(makeKey(t, database, "ada", "events:read"), "Authorization: Bearer ")
	wrong := a.form("/console/sign-in", url.Values{"credential": {"onepg_wrong"}, "next": {"/console/views"}})
	if wrong.status != 401 || !strings.Contains(wrong.body, `role="alert"`) || wrong.header.Get("Set-Cookie") != "" || !strings.Contains(wrong.body, `value="/console/views"`) {
		t.Errorf("a wrong one: %d %v %s", wrong.status, wrong.header, wrong.body)
	}
	got := a.form("/console/sign-in", url.Values{"credential": {" " + key + "\n"}, "next": {"/console/views?x=1"}})
	cookie := got.header.Get("Set-Cookie")
	if got.status != 303 || got.header.Get("Location") != "/console/views?x=1" || !strings.Contains(cookie, "; Path=/console; HttpOnly; SameSite=Strict") || strings.Contains(cookie, "Secure") {
		t.Fatalf("%d %v %s", got.status, got.header, got.body)
	}
	if secure := a.form("/console/sign-in", url.Values{"credential": {key}}, "Origin: https://"+strings.TrimPrefix(a.url, "http://")).header.Get("Set-Cookie"); !strings.Contains(secure, "; Secure") {
		t.Errorf("over https: %s", secure)
	}
	value, _, _ := strings.Cut(cookie, ";")
	if got := a.get("/console", "Cookie: "+value); got.status != 200 || !strings.Contains(got.body, "key:ada") || !strings.Contains(got.body, "read-only") || !strings.Contains(got.body, "Sign out") {
		t.Errorf("signed in: %d %s", got.status, got.body)
	}
	for _, path := range []string{"/v1/events", "/v1/users", "/metrics"} {
		if got := a.get(path, "Cookie: "+value); got.status != 401 {
			t.Errorf("%s with the cookie: %d", path, got.status)
		}
	}
	if got := a.get("/console", "Cookie: onepg_console=x y"); got.status != 401 {
		t.Errorf("nonsense in the cookie: %d", got.status)
	}
	out := a.form("/console/sign-out", nil, "Cookie: "+value)
	if out.status != 303 || !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("out: %d %v", out.status, out.header)
	}
	for _, next := range []string{"https://evil.example/console", "//evil.example/console", "/console\\@evil.example", "/v1/users", "javascript:alert(1)", "/consoles", "/console/../v1"} {
		got := a.form("/console/sign-in", url.Values{"credential": {key}, "next": {next}})
		if got.status != 303 || got.header.Get("Location") != "/console" {
			t.Errorf("next %s leads to %s", next, got.header.Get("Location"))
		}
	}
}

// The catalogue counts every event once, goes on where it was, and names what a
// newer program recorded; pages of such an event are there too.
func TestTheCatalogueCountsWhatWasRecorded(t *testing.T) {
	t.Parallel()
	a := start(t)
	user := uuid.New()
	counted := func() string {
		got := a.get("/console/catalogue")
		m := regexp.MustCompile(`name=user.created">(\d+)</a>`).FindStringSubmatch(got.body)
		if got.status != 200 || m == nil || !strings.Contains(got.body, "events are counted") {
			t.Fatalf("%d %s", got.status, got.body)
		}
		return m[1]
	}
	a.append(user, "user.created", ada)
	for _, want := range []string{"1", "2", "3"} {
		if got := counted(); got != want {
			t.Errorf("%s are counted, want %s", got, want)
		}
		a.append(uuid.New(), "user.created", ada)
	}
	id := uuid.New()
	if _, err := connect(t, a.database).Exec(`INSERT INTO event_types (name, schema_version, lifecycle) VALUES ('user.merged', 3, 'changes');
		SELECT * FROM append_events(ARRAY['` + id.String() + `']::uuid[], ARRAY['` + user.String() + `']::uuid[], ARRAY['user.merged'], ARRAY['{"with":1}']::json[])`); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/console/catalogue":                                  "this program does not know it",
		"/console/events/" + id.String():                      "This program cannot read the event",
		"/console/aggregates/" + user.String():                "recorded by a newer version of this program",
		"/console/aggregates/" + user.String() + "?version=1": "Ada Lovelace",
		"/console/events?name=user.merged":                    "user.merged",
	} {
		if got := a.get(path); got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// Somebody who has a position, an id, a name or a correlation finds what it is.
func TestTheConsoleFindsWhatSomebodyHasAnIDOf(t *testing.T) {
	t.Parallel()
	a := start(t)
	user, id := uuid.New(), uuid.New()
	a.post(strings.TrimSuffix(event(id, user, "user.created", ada), "}") + `,"metadata":{"correlation_id":"order 7/é"}}`)
	for q, want := range map[string]string{
		"1": "/console/events/" + id.String(), " " + strings.ToUpper(id.String()) + " ": "/console/events/" + id.String(),
		user.String(): "/console/aggregates/" + user.String(), "user.created": "/console/events?name=user.created",
		"order 7/é": "/console/events?correlation_id=order+7%2F%C3%A9", "": "/console/events",
		"2": "", uuid.NewString(): "", uuid.Nil.String(): "", "user.unknown": "", "99999999999999999999": "", "-1": "",
	} {
		got := a.browse(http.MethodGet, "/console/find?q="+url.QueryEscape(q), "")
		if location := got.header.Get("Location"); location != want || (want == "") != (got.status == 404) {
			t.Errorf("%q leads to %d %q, want %q", q, got.status, location, want)
		}
	}
}
