package app_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// cursorOf is the cursor for the second page of a list.
func (a *api) cursorOf(t *testing.T, path string) string {
	t.Helper()
	var page struct {
		Next *string `json:"next_cursor"`
	}
	got := a.get(path)
	if got.into(t, &page); page.Next == nil {
		t.Fatalf("%s has one page: %s", path, got.body)
	}
	return *page.Next
}

// forged is a cursor with another key or id.
func forged(t *testing.T, cursor, field string, value any) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]any)
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	fields[field] = value
	if text, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func TestBadParametersAreRefused(t *testing.T) {
	t.Parallel()
	a := start(t)
	user, payment := a.create(ada), uuid.New()
	a.create(ada)
	a.post(event(uuid.New(), user, "user.updated", `{"name":"B"}`), "Prefer: wait=10")
	for range 2 {
		payment = uuid.New()
		a.decided(payment, "process", "k", paying(user, "1.00", "USD", "wallet"))
	}
	now := time.Now().UTC()
	past, future := url.QueryEscape(now.Add(-time.Hour).Format(time.RFC3339)), url.QueryEscape(now.Add(time.Hour).Format(time.RFC3339))
	present := url.QueryEscape(a.recordedAt(t, 4))
	byTime, byName := a.cursorOf(t, "/v1/users?limit=1"), a.cursorOf(t, "/v1/users?limit=1&sort=name")
	then := a.cursorOf(t, "/v1/users?limit=1&as_of="+present)
	history := a.cursorOf(t, "/v1/users/"+user.String()+"/history?limit=1")
	paid := a.cursorOf(t, "/v1/payments?limit=1")

	var cases []bad
	get := func(path string, queries ...string) {
		for _, q := range queries {
			cases = append(cases, bad{what: path + "?" + q, send: request("GET", path+"?"+q, ""), status: 400, code: "bad-parameter", pointers: anyPointer})
		}
	}
	lists := []string{"/v1/users", "/v1/payments", "/v1/events", "/v1/users/" + user.String() + "/history", "/v1/views/users/parked"}
	for _, path := range lists {
		get(path, "limit=0", "limit=-1", "limit=501", "limit=x", "limit=1.5", "limit=1e2", "limit=0x10", "limit=99999999999999999999", "limit=%2B1+", "limit=",
			"limit=1&limit=2", "limt=1", "%00=1", "a=%00", "=1", "a;b=1", "limit=%zz", "limit=1%00", "LIMIT=1")
	}
	for _, path := range append(lists[:2:2], lists[3:]...) {
		get(path, "cursor=nonsense", "cursor=e30", "cursor=bnVsbA", "cursor=W10", "cursor=%00", "cursor="+byTime+"=", "cursor="+strings.Repeat("A", 5000),
			"cursor="+byTime+"&cursor="+byTime, "cursor=%ff", "cursor="+url.QueryEscape("'; --"))
	}
	get("/v1/users", "cursor="+byName, "cursor="+paid, "cursor="+history, "cursor="+then, "sort=name&cursor="+byTime, "name=a&cursor="+byTime,
		"cursor="+forged(t, byTime, "k", "yesterday"), "cursor="+forged(t, byTime, "k", ""), "cursor="+forged(t, byTime, "k", "\x00"), "cursor="+forged(t, byTime, "k", 7),
		"cursor="+forged(t, byTime, "k", "0000-01-01T00:00:00Z"), "cursor="+forged(t, byTime, "k", "9999-12-31T23:59:59-23:00"), "cursor="+forged(t, byTime, "i", "x"), "cursor="+forged(t, byTime, "l", ""),
		"sort=name&cursor="+forged(t, byName, "k", "\x00"),
		"as_of="+present+"&cursor="+forged(t, then, "k", "x"), "as_of="+present+"&cursor="+forged(t, then, "k", "-1"), "as_of="+present+"&cursor="+forged(t, then, "k", "9223372036854775808"),
		"as_of="+present+"&cursor="+byTime, "as_of="+past+"&cursor="+then)
	get("/v1/users", "sort=age", "sort=", "sort=-", "sort=name,email", "sort=Name", "sort=name&sort=name", "name=%00", "name=%ff", "email=%ff", "email=%00", "email=a&email=b",
		"name="+strings.Repeat("a", 201), "email="+strings.Repeat("a", 255))
	moments := []string{
		"as_of=", "as_of=x", "as_of=2026", "as_of=2026-11-21", "as_of=2026-13-01T00:00:00Z", "as_of=2026-02-30T00:00:00Z", "as_of=2026-11-21T25:00:00Z",
		"as_of=2026-11-21T00:00:00", "as_of=2026-11-21+00:00:00Z", "as_of=" + future, "as_of=9999-12-31T23:59:59Z", "as_of=10000-01-01T00:00:00Z", "as_of=%00", "as_of=now",
		"as_of=1700000000", "as_of=2026-11-21T00:00:00,5Z", "as_of=" + past + "&as_of=" + past, "as_of=2026-11-21T00:00:00%2B25:00", "as_of=infinity",
	}
	get("/v1/users", append(moments, "as_of="+past+"&sort=name", "as_of="+past+"&name=a", "as_of="+past+"&email=a")...)
	get("/v1/users/"+user.String(), append(moments, "version=0", "version=-1", "version=x", "version=1.0", "version=2147483648", "version=", "version=1&version=1", "version=1&as_of="+past,
		"version=1&min_version=1", "min_version=0", "min_version=-1", "min_version=x", "min_version=", "min_version=99999999999999999999")...)
	get("/v1/users/"+user.String()+"/history", "cursor="+forged(t, history, "k", "0"), "cursor="+forged(t, history, "k", "-1"), "cursor="+forged(t, history, "k", "x"), "cursor="+byTime)
	get("/v1/payments/"+payment.String(), "min_version=0", "min_version=x")
	get("/v1/payments", "customer_id=x", "customer_id=", "customer_id="+uuid.Nil.String(), "status=paid", "status=", "from=x", "to=x", "from=2026-11-21", "to=2026-13-01T00:00:00Z",
		"from=", "from="+past+"&from="+past, "cursor="+forged(t, paid, "k", "x"), "cursor="+forged(t, paid, "k", "0001-01-01T00:00:00+23:00"), "cursor="+byTime, "status=completed&cursor="+paid)
	get("/v1/payments/statistics/daily", "", "date=", "date=x", "date=2026-02-30", "date=2026-1-1", "date=0000-01-01", "date=2026-11-21T00:00:00Z", "date=2026-11-21&date=2026-11-21", "day=2026-11-21")
	get("/v1/events", "after=-1", "after=x", "after=1.5", "after=", "after=9223372036854775808", "after=1&after=2", "aggregate_id=x", "aggregate_id=", "aggregate_id="+uuid.Nil.String(),
		"name=%00", "aggregate=%ff", "name="+strings.Repeat("a", 201), "aggregate="+strings.Repeat("a", 101), "correlation_id="+strings.Repeat("a", 201), "correlation_id=%00")
	for _, path := range []string{"/v1/events/stream", "/v1/users/stream", "/v1/payments/stream"} {
		get(path, "after=-1", "after=x", "after=", "after=1.5", "after=9223372036854775808", "after=999999", "after=1&after=2", "position=1")
		for _, id := range []string{"x", "-1", "1.5", "9223372036854775808", "999999", "1, 2", "1\r\nLast-Event-ID: 2", "\xff"} {
			cases = append(cases, bad{what: path + " after " + id, send: request("GET", path, "", "Last-Event-ID: "+id), status: 400, code: "bad-parameter", pointers: anyPointer})
		}
	}
	for _, id := range []string{"x", "{" + user.String() + "}", "urn:uuid:" + user.String(), strings.ReplaceAll(user.String(), "-", ""), uuid.Nil.String(), uuid.Max.String(), "%ff", "'", "1"} {
		for _, path := range []string{"/v1/users/" + id, "/v1/users/" + id + "/history", "/v1/events/" + id, "/v1/payments/" + id} {
			cases = append(cases, bad{what: path, send: request("GET", path, ""), status: 400, code: "bad-parameter", pointers: anyPointer})
		}
		for _, path := range []string{"/v1/payments/" + id + "/approve", "/v1/views/users/parked/" + id + "/retry"} {
			cases = append(cases, bad{what: path, send: request("POST", path, "{}", "Idempotency-Key: k"), status: 400, code: "bad-parameter", pointers: anyPointer})
		}
	}
	update := event(uuid.New(), user, "user.updated", `{"name":"C"}`)
	revert := `{"id":"` + uuid.NewString() + `","to_version":1}`
	for _, match := range []string{`3`, `""`, `"x"`, `W/"x"`, `W/1`, `W/*`, `*, "1"`, `"-1"`, `"01"`, `"2147483648"`, `"1", "2"`, `"1`, `'1'`, "\"1\"\r\nIf-Match: \"2\"", `"1.0"`, `" 1"`, ``} {
		cases = append(cases,
			bad{what: "If-Match " + match, send: appending(update, "If-Match:"+match), status: 400, code: "bad-parameter", pointers: anyPointer},
			bad{what: "revert, If-Match " + match, send: request("POST", "/v1/users/"+user.String()+"/revert", revert, "If-Match:"+match), status: 400, code: "bad-parameter", pointers: anyPointer})
	}
	cases = append(cases,
		bad{what: "If-Match * for several", send: appending("["+update+","+someone()+"]", "If-Match: *"), status: 400, code: "bad-parameter", pointers: anyPointer},
		bad{what: "If-Match for several", send: appending("["+update+","+someone()+"]", `If-Match: "1"`), status: 400, code: "bad-parameter", pointers: anyPointer},
	)
	a.refuses(t, cases)
	a.works(t)
}

// recordedAt is the time of an event.
func (a *api) recordedAt(t *testing.T, position int) string {
	t.Helper()
	var page struct {
		Items []struct {
			At string `json:"recorded_at"`
		}
	}
	a.get("/v1/events").into(t, &page)
	return page.Items[position-1].At
}

// A preference or a validator is a wish: what cannot be read is as if it were
// not there.
func TestWishesThatCannotBeReadAreIgnored(t *testing.T) {
	t.Parallel()
	a := start(t)
	path := "/v1/users/" + a.create(ada).String()
	for _, header := range []string{
		"Prefer: wait", "Prefer: wait=-1", "Prefer: wait=x", "Prefer: wait=1e9", "Prefer: \"", "Prefer: ,;,=", "Prefer: respond-async", "Prefer: wait=0",
		"If-None-Match: x", `If-None-Match: "`, "If-None-Match: ,", `If-None-Match: "01"`, "Accept: text/html", "Accept: x", "Accept-Encoding: gzip;q=x", "Range: bytes=0-1",
		"Traceparent: x", "Traceparent: 00-0-0-00", "X-Request-ID: a b", "If-Modified-Since: x", "If-Match: x", "Expect: ", "X-HTTP-Method-Override: DELETE",
		"Cookie: a=b", "Origin: null", "Referer: x", "X-Forwarded-For: x", "X-Forwarded-Host: evil.example.com", "Forwarded: for=x", "Last-Event-ID: x",
	} {
		if got := a.get(path, header); got.status != http.StatusOK || !strings.Contains(got.body, "Ada") {
			t.Errorf("%s: %d %s", header, got.status, got.body)
		}
	}
	if got := a.post(someone(), "Prefer: wait=99999999999999999999"); got.status != http.StatusCreated || got.header.Get("Preference-Applied") != "wait=30" {
		t.Errorf("a very long wait: %d %v", got.status, got.header)
	}
}

// RFC 6902, 9110 and the contract leave a revert these ways to be wrong.
func TestABadRevertIsRefused(t *testing.T) {
	t.Parallel()
	a := start(t)
	user, known := a.create(ada), uuid.New()
	a.post(event(known, user, "user.updated", `{"name":"B"}`), "Prefer: wait=10")
	path, id := "/v1/users/"+user.String()+"/revert", quoted(uuid.NewString())
	var cases []bad
	check := func(what, path, body string, status int, code, pointers string, headers ...string) {
		cases = append(cases, bad{what: what, send: request("POST", path, body, headers...), status: status, code: code, pointers: pointers})
	}
	for body, pointers := range map[string]string{
		`{}`: "/id /to_version", `[]`: "", `null`: "", `{"id":` + id + `}`: "/to_version", `{"to_version":1}`: "/id",
		`{"id":1,"to_version":"1"}`:                         "/id /to_version",
		`{"id":null,"to_version":null}`:                     "/id /to_version",
		`{"id":"x","to_version":1}`:                         "/id",
		`{"id":"` + uuid.Nil.String() + `","to_version":1}`: "/id",
		`{"id":` + id + `,"to_version":0}`:                  "/to_version",
		`{"id":` + id + `,"to_version":-1}`:                 "/to_version",
		`{"id":` + id + `,"to_version":1.5}`:                "/to_version",
		`{"id":` + id + `,"to_version":2147483648}`:         "/to_version",
		`{"id":` + id + `,"to_version":1,"actor":"x"}`:      "/actor",
		`{"id":` + id + `,"To_version":1}`:                  "/To_version /to_version",
		`{"id":` + id + `,"to_version":1e309}`:              "/to_version",
	} {
		check(body, path, body, 422, "validation-failed", pointers)
	}
	good := `{"id":` + id + `,"to_version":1}`
	check("of nobody", "/v1/users/"+uuid.NewString()+"/revert", good, 404, "not-found", anyPointer)
	check("to the future", path, `{"id":`+id+`,"to_version":9}`, 422, "validation-failed", "/to_version")
	check("under a known id", path, `{"id":`+quoted(known.String())+`,"to_version":1}`, 422, "event-id-reused", anyPointer)
	check("of another version", path, good, 412, "version-conflict", anyPointer, `If-Match: "7"`)
	check("twice the same key", path, `{"id":`+id+`,"id":`+id+`,"to_version":1}`, 400, "malformed-body", anyPointer)
	check("trailing bytes", path, good+"x", 400, "malformed-body", anyPointer)
	a.refuses(t, cases)
	a.works(t)
}
