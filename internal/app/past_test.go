package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
		"at the beginning":             {"as_of=0001-01-01T00:00:00Z", 404, "not-found", "", ""},
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

// operation is one step of a JSON Patch.
type operation struct {
	Op, Path string
	Value    json.RawMessage
}

// revision is one entry of a history.
type revision struct {
	ID      uuid.UUID
	Name    string
	Version int
	Payload json.RawMessage
	Changes []operation
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
	path := "/v1/users/" + id.String() + "/history"
	created := a.append(id, "user.created", ada)
	updated := a.append(id, "user.updated", `{"name":"Ada <King>"}`)
	a.append(id, "user.deleted", `{"reason":"asked"}`)
	whole := fmt.Sprintf(`{"id":%q,"name":"Ada Lovelace","email":"ada@example.com","version":1,"created_at":%[2]q,"updated_at":%[2]q}`,
		id, created.RecordedAt.Format("2006-01-02T15:04:05.000000Z"))
	body := a.get(path).body
	for _, want := range []string{
		`"name":"user.deleted","schema_version":1,"version":3,"position":3,"payload":{"reason":"asked"},"metadata":{},"actor":"anonymous"`,
		`"changes":[{"op":"remove","path":""}]`,
		`"changes":[{"op":"replace","path":"/name","value":"Ada <King>"},{"op":"replace","path":"/updated_at","value":"` +
			updated.RecordedAt.Format("2006-01-02T15:04:05.000000Z") + `"},{"op":"replace","path":"/version","value":2}]`,
		`"changes":[{"op":"add","path":"","value":` + whole + `}]`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	for _, limit := range []int{1, 2, 3, 500} {
		var versions []int
		for _, r := range a.history(id, limit) {
			versions = append(versions, r.Version)
		}
		if !slices.Equal(versions, []int{3, 2, 1}) {
			t.Errorf("by %d: versions %v", limit, versions)
		}
	}
	var page struct {
		Next string `json:"next_cursor"`
	}
	a.get(path+"?limit=2").into(t, &page)
	for query, want := range map[string]int{
		"limit=0": 400, "limit=501": 400, "cursor=x": 400, "sort=name": 400,
		"limit=1&cursor=" + page.Next: 200, "as_of=2026-01-01T00:00:00Z": 400,
	} {
		if got := a.get(path + "?" + query); got.status != want {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	if got := a.get("/v1/users/" + uuid.NewString() + "/history"); got.status != 404 || got.code() != "not-found" {
		t.Errorf("nobody: %d %s", got.status, got.body)
	}
}

// canonical is a JSON object with its fields in one order.
func canonical(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if text, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// recorded is an event as GET /v1/events gives it.
type recorded struct {
	ID          uuid.UUID
	AggregateID uuid.UUID `json:"aggregate_id"`
	Name        string
	Version     int
	Payload     map[string]any
	RecordedAt  string `json:"recorded_at"`

	at time.Time
}

// next is one step of a fold that owes nothing to the program's: what a user is
// after the event.
func next(before map[string]any, e recorded) map[string]any {
	if e.Name == "user.deleted" {
		return nil
	}
	after := map[string]any{"id": e.AggregateID.String(), "created_at": e.RecordedAt}
	for name, value := range before {
		after[name] = value
	}
	for name, value := range e.Payload {
		if name != "to_version" {
			after[name] = value
		}
	}
	after["version"], after["updated_at"] = e.Version, e.RecordedAt
	return after
}

// everything reads the whole log.
func (a *api) everything() []recorded {
	a.t.Helper()
	var all []recorded
	path := "/v1/events?limit=500"
	for path != "" {
		got := a.get(path)
		var page struct{ Items []recorded }
		got.into(a.t, &page)
		for _, e := range page.Items {
			var err error
			if e.at, err = time.Parse(time.RFC3339Nano, e.RecordedAt); err != nil {
				a.t.Fatal(err)
			}
			all = append(all, e)
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(got.header.Get("Link"), "<"), ">")
	}
	return all
}

// live makes lives of users at random: created, changed, deleted and put back,
// many events in one moment.
func (a *api) live(random *rand.Rand, people, requests int) []uuid.UUID {
	a.t.Helper()
	ids := make([]uuid.UUID, people)
	versions := make([]int, people)
	ended := make([]bool, people)
	for i := range ids {
		ids[i] = uuid.New()
	}
	for range requests {
		var batch []string
		for range 1 + random.IntN(20) {
			i := random.IntN(people)
			name, payload := "user.updated", fmt.Sprintf(`{"name":"Name %d"}`, random.IntN(1000))
			switch {
			case versions[i] == 0:
				name, payload = "user.created", fmt.Sprintf(`{"name":"Name %d","email":"u%d@example.com"}`, random.IntN(1000), i)
			case ended[i]:
				continue
			case random.IntN(8) == 0:
				name, payload, ended[i] = "user.deleted", `{}`, true
			case random.IntN(2) == 0:
				payload = fmt.Sprintf(`{"email":"n%d@example.com"}`, random.IntN(1000))
			}
			versions[i]++
			batch = append(batch, event(uuid.New(), ids[i], name, payload))
		}
		if got := a.post("[" + strings.Join(batch, ",") + "]"); len(batch) > 0 && got.status != http.StatusCreated {
			a.t.Fatalf("%d %s", got.status, got.body)
		}
		if i := random.IntN(people); versions[i] > 0 && random.IntN(3) == 0 {
			body := fmt.Sprintf(`{"id":%q,"to_version":%d}`, uuid.New(), 1+random.IntN(versions[i]))
			got := a.do("POST", "/v1/users/"+ids[i].String()+"/revert", body)
			if got.status == http.StatusCreated {
				versions[i], ended[i] = versions[i]+1, false
			} else if got.status != 422 { // it may be the version of a deletion
				a.t.Fatalf("%d %s", got.status, got.body)
			}
		}
	}
	return ids
}

// TestTheHistoryOfARowRebuildsIt applies the patches one after the other, and
// compares with a plain fold at each of them.
func TestTheHistoryOfARowRebuildsIt(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.live(rand.New(rand.NewPCG(1, 2)), 20, 60)
	folds := make(map[uuid.UUID][]map[string]any) // by version - 1
	for _, e := range a.everything() {
		var before map[string]any
		if past := folds[e.AggregateID]; len(past) > 0 {
			before = past[len(past)-1]
		}
		folds[e.AggregateID] = append(folds[e.AggregateID], next(before, e))
	}
	for id, rows := range folds {
		history := a.history(id, 7)
		if len(history) != len(rows) {
			t.Fatalf("%s has %d entries for %d events", id, len(history), len(rows))
		}
		slices.Reverse(history)
		var document any
		for i, r := range history {
			if len(r.Changes) == 0 {
				t.Errorf("%s version %d changed nothing", id, r.Version)
			}
			for _, op := range r.Changes {
				document = patched(t, document, op)
			}
			if got, want := canonical(t, document), canonical(t, rows[i]); got != want {
				t.Fatalf("%s at version %d: patched to %s, folded to %s", id, i+1, got, want)
			}
		}
	}
}

// patched applies one operation to a document whose parts are flat.
func patched(t *testing.T, document any, op operation) any {
	t.Helper()
	var value any
	if op.Op != "remove" {
		if err := json.Unmarshal(op.Value, &value); err != nil {
			t.Fatal(err)
		}
	}
	if op.Path == "" {
		return value
	}
	fields, field := document.(map[string]any), strings.TrimPrefix(op.Path, "/")
	if _, there := fields[field]; there == (op.Op == "add") {
		t.Errorf("%s of %s, which is there: %t", op.Op, op.Path, there)
	}
	if fields[field] = value; op.Op == "remove" {
		delete(fields, field)
	}
	return fields
}

// TestAThousandMomentsEqualAPlainFold is promise P14: random points of time and
// versions, for one row and for the whole list, against a fold written here.
func TestAThousandMomentsEqualAPlainFold(t *testing.T) {
	t.Parallel()
	a := start(t)
	random := rand.New(rand.NewPCG(3, 4))
	ids := a.live(random, 60, 150)
	log := a.everything()
	first, last := log[0].at, log[len(log)-1].at
	for point := range 1000 {
		at := log[random.IntN(len(log))].at.Add(time.Duration(random.IntN(5)-2) * time.Microsecond)
		if point%2 == 0 {
			at = first.Add(time.Duration(random.Int64N(int64(last.Sub(first)) + 1)))
		}
		rows := make(map[uuid.UUID]map[string]any) // nil: deleted
		for _, e := range log {
			if !e.at.After(at) {
				rows[e.AggregateID] = next(rows[e.AggregateID], e)
			}
		}
		id := ids[random.IntN(len(ids))]
		got := a.get("/v1/users/" + id.String() + "?" + asOf(at))
		row, existed := rows[id]
		switch {
		case !existed && got.status == 404, existed && row == nil && got.status == 410:
		case row == nil || got.status != 200 || canonical(t, json.RawMessage(got.body)) != canonical(t, row):
			t.Fatalf("%s at %s: %d %s, folded to %v", id, at, got.status, got.body, row)
		}
		if point%10 == 0 {
			a.assertListAt(at, 1+random.IntN(30), rows)
		}
	}
}

// assertListAt compares all pages of the list at a moment.
func (a *api) assertListAt(at time.Time, limit int, rows map[uuid.UUID]map[string]any) {
	a.t.Helper()
	var want, got []string
	for _, id := range slices.SortedFunc(maps.Keys(rows), func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) }) {
		if rows[id] != nil {
			want = append(want, canonical(a.t, rows[id]))
		}
	}
	path := fmt.Sprintf("/v1/users?limit=%d&%s", limit, asOf(at))
	for path != "" {
		answer := a.get(path)
		var page struct{ Items []map[string]any }
		answer.into(a.t, &page)
		for _, item := range page.Items {
			got = append(got, canonical(a.t, item))
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(answer.header.Get("Link"), "<"), ">")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		a.t.Fatalf("the list at %s by %d:\n%s", at, limit, diff)
	}
}

func TestAListOfThePastTakesOnlyATimeAndPages(t *testing.T) {
	t.Parallel()
	a := start(t)
	first := a.append(uuid.New(), "user.created", ada)
	a.append(uuid.New(), "user.created", ada)
	now := asOf(time.Now())
	var page userPage
	a.get("/v1/users?limit=1&"+now).into(t, &page)
	for query, want := range map[string]int{
		now:                                   200,
		"limit=1&" + now:                      200,
		"limit=1&cursor=" + *page.Next:        400, // the list as it is
		now + "&limit=1&cursor=" + *page.Next: 200,
		asOf(first.RecordedAt) + "&limit=1&cursor=" + *page.Next: 400, // another moment
		now + "&sort=name":                400,
		now + "&sort=-created_at":         400,
		now + "&email=ada%40example.com":  400,
		now + "&name=A":                   400,
		asOf(time.Now().Add(time.Minute)): 400,
		"as_of=":                          400,
		"as_of=yesterday":                 400,
	} {
		if got := a.get("/v1/users?" + query); got.status != want || want == 400 && got.code() != "bad-parameter" {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	for at, want := range map[time.Time]int{first.RecordedAt.Add(-time.Microsecond): 0, first.RecordedAt: 1, time.Now(): 2} {
		var page userPage
		a.get("/v1/users?"+asOf(at)).into(t, &page)
		if len(page.Items) != want {
			t.Errorf("at %s: %d users, want %d", at, len(page.Items), want)
		}
	}
}

// TestThePagesOfAListShowOneMoment lets an event be recorded at the very moment
// that is walked through: what the first page did not see, no page sees.
func TestThePagesOfAListShowOneMoment(t *testing.T) {
	t.Parallel()
	a := start(t)
	first, second := uuid.UUID{1}, uuid.UUID{2}
	a.append(first, "user.created", ada)
	moment := a.append(second, "user.created", ada).RecordedAt
	page := a.get("/v1/users?limit=1&" + asOf(moment))
	_, err := connect(t, a.database).ExecContext(t.Context(), `INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
		VALUES (3, ?, ?, ?, 2, 1, 'user.updated', 'test', '{"name":"late"}', '{}'); UPDATE event_log_head SET "position" = 3`, moment, uuid.New(), second)
	if err != nil {
		t.Fatal(err)
	}
	link, _, _ := strings.Cut(strings.TrimPrefix(page.header.Get("Link"), "<"), ">")
	if got := a.get(link); got.status != 200 || strings.Contains(got.body, "late") || !strings.Contains(got.body, second.String()) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := a.get("/v1/users?" + asOf(moment)); !strings.Contains(got.body, "late") {
		t.Errorf("asked anew: %s", got.body)
	}
}
