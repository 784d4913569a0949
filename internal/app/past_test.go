package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// receipt is the answer to an append.
type receipt struct {
	ID         uuid.UUID
	Version    int
	Position   int64
	RecordedAt time.Time `json:"recorded_at"`
	Duplicate  bool
}

// append posts one event and gives its receipt.
func (a *api) append(user uuid.UUID, name, payload string) receipt {
	a.t.Helper()
	got := a.post(event(uuid.New(), user, name, payload))
	if got.status != http.StatusCreated {
		a.t.Fatalf("append %s: %d %s", name, got.status, got.body)
	}
	var r receipt
	got.into(a.t, &r)
	return r
}

func asOf(t time.Time) string { return "as_of=" + url.QueryEscape(t.Format(time.RFC3339Nano)) }

// TestAUserIsReadAsItWas goes through every edge of time travel for one row.
func TestAUserIsReadAsItWas(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := uuid.New()
	path := "/v1/users/" + id.String() + "?"
	created := a.append(id, "user.created", ada)
	updated := a.append(id, "user.updated", `{"name":"Ada King"}`)
	deleted := a.append(id, "user.deleted", `{}`)
	const µs = time.Microsecond
	for what, c := range map[string]struct {
		query  string
		status int
		code   string
		etag   string
		name   string
	}{
		"version 1":                    {"version=1", 200, "", `"1"`, "Ada Lovelace"},
		"version 2":                    {"version=2", 200, "", `"2"`, "Ada King"},
		"the version of the end":       {"version=3", 410, "gone", "", ""},
		"a version that never was":     {"version=4", 404, "not-found", "", ""},
		"version 0":                    {"version=0", 400, "bad-parameter", "", ""},
		"no version":                   {"version=", 400, "bad-parameter", "", ""},
		"a version of no integer":      {"version=2147483648", 400, "bad-parameter", "", ""},
		"just before the first event":  {asOf(created.RecordedAt.Add(-µs)), 404, "not-found", "", ""},
		"at the first event":           {asOf(created.RecordedAt), 200, "", `"1"`, "Ada Lovelace"},
		"in the first's microsecond":   {asOf(created.RecordedAt.Add(µs - 1)), 200, "", `"1"`, "Ada Lovelace"},
		"just before the second event": {asOf(updated.RecordedAt.Add(-µs)), 200, "", `"1"`, "Ada Lovelace"},
		"at the second event":          {asOf(updated.RecordedAt), 200, "", `"2"`, "Ada King"},
		"just before the end":          {asOf(deleted.RecordedAt.Add(-µs)), 200, "", `"2"`, "Ada King"},
		"at the end":                   {asOf(deleted.RecordedAt), 410, "gone", "", ""},
		"after the end":                {asOf(deleted.RecordedAt.Add(µs)), 410, "gone", "", ""},
		"in the future":                {asOf(time.Now().Add(time.Hour)), 400, "bad-parameter", "", ""},
		"in the far future":            {"as_of=9999-12-31T23:59:59-23:59", 400, "bad-parameter", "", ""},
		"in the year 0":                {"as_of=0000-01-01T00:00:00Z", 404, "not-found", "", ""},
		"in the year -1":               {"as_of=0000-01-01T00:00:00%2B01:00", 404, "not-found", "", ""},
		"in another time zone":         {asOf(updated.RecordedAt.In(time.FixedZone("", 19800))), 200, "", `"2"`, "Ada King"},
		"in small letters":             {strings.ToLower(asOf(updated.RecordedAt)), 200, "", `"2"`, "Ada King"},
		"in a leap second":             {"as_of=2016-12-31T23:59:60Z", 404, "not-found", "", ""},
		"a day":                        {"as_of=2026-11-21", 400, "bad-parameter", "", ""},
		"a + that is not escaped":      {"as_of=2020-01-01T00:00:00+01:00", 400, "bad-parameter", "", ""},
		"no time":                      {"as_of=", 400, "bad-parameter", "", ""},
		"both":                         {"version=1&" + asOf(created.RecordedAt), 400, "bad-parameter", "", ""},
		"waiting for the past":         {"version=1&min_version=2", 400, "bad-parameter", "", ""},
	} {
		got := a.get(path + c.query)
		var row user
		if got.status == 200 {
			got.into(t, &row)
		}
		if got.status != c.status || got.code() != c.code || got.header.Get("ETag") != c.etag || row.Name != c.name {
			t.Errorf("%s: %d with ETag %s: %s", what, got.status, got.header.Get("ETag"), got.body)
		}
	}
	if got := a.get(path+"version=2", `If-None-Match: "2"`); got.status != http.StatusNotModified {
		t.Errorf("known already: %d", got.status)
	}
	if got := a.get("/v1/users/" + uuid.NewString() + "?version=1"); got.status != 404 || got.code() != "not-found" {
		t.Errorf("nobody: %d %s", got.status, got.body)
	}
}

// revision is one entry of a history.
type revision struct {
	ID       uuid.UUID
	Name     string
	Version  int
	Actor    string
	Metadata json.RawMessage
	Changes  []struct {
		Op, Path string
		Value    json.RawMessage
	}
}

// history walks through all pages of a history.
func (a *api) history(id uuid.UUID, limit int) []revision {
	a.t.Helper()
	var all []revision
	path := fmt.Sprintf("/v1/users/%s/history?limit=%d", id, limit)
	for path != "" {
		got := a.get(path)
		if got.status != 200 {
			a.t.Fatalf("%s: %d %s", path, got.status, got.body)
		}
		var page struct {
			Items []revision
			Next  *string `json:"next_cursor"`
		}
		got.into(a.t, &page)
		all = append(all, page.Items...)
		link := got.header.Get("Link")
		if (link == "") != (page.Next == nil) || len(page.Items) > limit {
			a.t.Fatalf("%s: %d items, Link %q, cursor %v", path, len(page.Items), link, page.Next)
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
	}
	return all
}

func TestAHistorySaysWhoChangedWhatAndWhen(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := uuid.New()
	a.append(id, "user.created", ada)
	a.append(id, "user.updated", `{"name":"Ada <King>"}`)
	a.append(id, "user.deleted", `{}`)
	got := a.get("/v1/users/" + id.String() + "/history")
	fmt.Println(got.body)
	for _, limit := range []int{1, 2, 3, 500} {
		all := a.history(id, limit)
		if len(all) != 3 {
			t.Fatalf("%d entries", len(all))
		}
	}
	r := a.do("POST", "/v1/users/"+id.String()+"/revert", `{"id":"`+uuid.NewString()+`","to_version":1}`, "Prefer: wait=5", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	fmt.Println(r.status, r.header, r.body)
	fmt.Println(a.get("/v1/users/" + id.String()).body)
	fmt.Println(a.get("/v1/users/" + id.String() + "/history?limit=1").body)
	fmt.Println(a.get("/v1/users?" + asOf(time.Now())).body)
}
