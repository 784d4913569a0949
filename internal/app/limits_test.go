package app_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// padded is an event with a payload of exactly so many bytes.
func padded(size int) string {
	const payload = `{"name":"A","email":"a@example.com"`
	return created(payload + strings.Repeat(" ", size-len(payload)-1) + "}")
}

// What may just be is taken, and one more of it is refused.
func TestLimitsHoldToTheByte(t *testing.T) {
	t.Parallel()
	a := start(t)
	const body, payload, batch, depth = 1 << 20, 256 << 10, 1000, 32
	fill := func(size int) string {
		e := someone()
		return e + strings.Repeat(" ", size-len(e))
	}
	many := func(n int) string {
		events := make([]string, n)
		for i := range events {
			events[i] = someone()
		}
		return "[" + strings.Join(events, ",") + "]"
	}
	meta := func(size int) string {
		return withMetadata(someone(), `{"a":"`+strings.Repeat("a", size-len(`{"a":""}`))+`"}`)
	}
	for what, c := range map[string]struct {
		at, past string // the bodies
		status   int
		code     string
	}{
		"the body":       {appending(fill(body)), appending(fill(body + 1)), 413, "too-large"},
		"a chunked body": {appending(chunked(fill(body), 1<<15), inChunks()...), appending(chunked(fill(body+1), 1<<15), inChunks()...), 413, "too-large"},
		"a payload":      {appending(padded(payload)), appending(padded(payload + 1)), 413, "too-large"},
		"metadata":       {appending(meta(payload)), appending(meta(payload + 1)), 413, "too-large"},
		"a batch":        {appending(many(batch)), appending(many(batch + 1)), 413, "too-large"},
		"depth":          {appending(withMetadata(someone(), `{"a":`+nested(depth-2)+`}`)), appending(withMetadata(someone(), `{"a":`+nested(depth-1)+`}`)), 400, "malformed-body"},
		"a page":         {request("GET", "/v1/users?limit=500", ""), request("GET", "/v1/users?limit=501", ""), 400, "bad-parameter"},
		"a key": {
			request("POST", "/v1/payments/"+uuid.NewString()+"/process", paying(uuid.New(), "1", "USD", "wallet"), "Idempotency-Key: "+strings.Repeat("k", 255)),
			request("POST", "/v1/payments/"+uuid.NewString()+"/process", paying(uuid.New(), "1", "USD", "wallet"), "Idempotency-Key: "+strings.Repeat("k", 256)), 400, "bad-parameter",
		},
		"a version": {
			appending(event(uuid.New(), a.create(ada), "user.updated", `{"name":"B"}`), `If-Match: "1"`),
			appending(event(uuid.New(), a.create(ada), "user.updated", `{"name":"B"}`), `If-Match: "2147483648"`), 400, "bad-parameter",
		},
	} {
		if got, _, err := a.dial(t).say(c.at, time.Minute); err != nil || got.status >= 300 {
			t.Errorf("%s at the limit: %d %.300s %v", what, got.status, got.body, err)
		}
		if got, _, err := a.dial(t).say(c.past, time.Minute); err != nil || got.status != c.status || got.code() != c.code {
			t.Errorf("%s past the limit: %d %.300s %v", what, got.status, got.body, err)
		}
	}
}

func TestLimitsAreConfigurable(t *testing.T) {
	t.Parallel()
	a := start(t, "--max-body-bytes=2000", "--max-payload-bytes=100", "--max-batch-events=2", "--max-json-depth=4", "--max-header-bytes=4096")
	pair := "[" + someone() + "," + someone() + "]"
	for what, c := range map[string]struct {
		send   string
		status int
	}{
		"a body":           {appending(someone() + strings.Repeat(" ", 2000-len(someone()))), 201},
		"a body and more":  {appending(someone() + strings.Repeat(" ", 2001-len(someone()))), 413},
		"a payload":        {appending(padded(100)), 201},
		"a larger payload": {appending(padded(101)), 413},
		"a batch":          {appending(pair), 201},
		"a larger batch":   {appending("[" + someone() + "," + someone() + "," + someone() + "]"), 413},
		"four levels":      {appending(withMetadata(someone(), `{"a":[[]]}`)), 201},
		"five levels":      {appending(withMetadata(someone(), `{"a":[[[]]]}`)), 400},
		"headers":          {headersOf(4096), 200},
		"one header more":  {headersOf(4097), 431},
	} {
		if got, _, err := a.dial(t).say(c.send, time.Minute); err != nil || got.status != c.status {
			t.Errorf("%s: %d %.300s %v, want %d", what, got.status, got.body, err, c.status)
		}
	}
}

// headersOf is a request whose request line and headers are counted as so many
// bytes; Host is none of them.
func headersOf(size int) string {
	const others = len("GET") + len("/livez") + len("HTTP/1.1") + len("X: \r\n")
	return request("GET", "/livez", "", "X: "+strings.Repeat("a", size-others))
}

// locked holds a table until the test lets go of it.
func (a *api) locked(t *testing.T, table string) (release func()) {
	t.Helper()
	tx, err := connect(t, a.database).BeginTx(context.WithoutCancel(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	return func() { _ = tx.Rollback() }
}

// refusedForNow holds an answer to the promise for what may be better later.
func refusedForNow(t *testing.T, what string, got answer) {
	t.Helper()
	if got.status != http.StatusServiceUnavailable || got.code() != "unavailable" || got.header.Get("Retry-After") == "" {
		t.Errorf("%s: %d %v %s", what, got.status, got.header, got.body)
	}
}

// A database that is slow costs a request as long as it is told to wait, and
// each of the limits is one on its own.
func TestASlowDatabaseIsWaitedForNoLonger(t *testing.T) {
	t.Parallel()
	for what, flags := range map[string][]string{
		"a lock":            {"--lock-timeout=200ms", "--statement-timeout=1m", "--answer-timeout=1m"},
		"a statement":       {"--lock-timeout=1m", "--statement-timeout=200ms", "--answer-timeout=1m"},
		"the whole request": {"--lock-timeout=1m", "--statement-timeout=1m", "--answer-timeout=200ms"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := start(t, flags...)
			release := a.locked(t, "users")
			defer release()
			began := time.Now()
			refusedForNow(t, what, a.get("/v1/users"))
			if took := time.Since(began); took < 200*time.Millisecond || took > 30*time.Second {
				t.Errorf("answered after %s", took)
			}
			release()
			eventually(t, "service is normal", func() bool { return a.get("/v1/users").status == http.StatusOK })
		})
	}
}

// Who waits for a version waits for the view, not for the database.
func TestAWaitForAVersionEndsWithAReadThatFails(t *testing.T) {
	t.Parallel()
	a := start(t, "--lock-timeout=200ms")
	defer a.locked(t, "users")()
	defer a.locked(t, "payment_summaries")()
	for _, path := range []string{"/v1/users/", "/v1/payments/"} {
		began := time.Now()
		refusedForNow(t, path, a.get(path+uuid.NewString()+"?min_version=1", "Prefer: wait=30"))
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("%s: answered after %s", path, took)
		}
	}
}

// With all connections taken a request waits its time for one and no longer.
func TestAFullPoolIsWaitedForNoLonger(t *testing.T) {
	t.Parallel()
	a := start(t, "--pool-size=2", "--pool-wait=300ms", "--lock-timeout=1m", "--statement-timeout=1m")
	release := a.locked(t, "users")
	defer release()
	answers := make(chan answer)
	const requests = 6
	for i := range requests {
		go func() { answers <- a.get(fmt.Sprintf("/v1/users?limit=%d", i+1)) }()
	}
	for range requests - 2 { // all but those that have a connection
		refusedForNow(t, "beyond the pool", <-answers)
	}
	if got := a.get("/livez"); got.status != http.StatusOK {
		t.Errorf("the probe: %d", got.status)
	}
	release()
	for range 2 {
		if got := <-answers; got.status != http.StatusOK {
			t.Errorf("with a connection: %d %s", got.status, got.body)
		}
	}
}

// At the end of what types can hold nothing breaks.
func TestExtremesAreAnswered(t *testing.T) {
	t.Parallel()
	a := start(t)
	user := a.create(ada).String()
	for path, want := range map[string]int{
		"/v1/events?after=9223372036854775807":                                      200,
		"/v1/users?as_of=0001-01-01T00:00:00Z":                                      200,
		"/v1/users?as_of=0000-01-01T00:00:00Z":                                      200,
		"/v1/users?as_of=0001-01-01T00:00:00%2B23:59":                               200,
		"/v1/users?as_of=9999-12-31T23:59:59-23:59":                                 400,
		"/v1/users/" + user + "?version=2147483647":                                 404,
		"/v1/users/" + user + "?as_of=0000-01-01T00:00:00Z":                         404,
		"/v1/users/" + user + "?min_version=9223372036854775807":                    504,
		"/v1/payments?from=0000-01-01T00:00:00Z":                                    200,
		"/v1/payments?to=9999-12-31T23:59:59-23:59":                                 200,
		"/v1/payments?from=0001-01-01T00:00:00%2B23:59":                             200,
		"/v1/payments?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z":            200,
		"/v1/payments/statistics/daily?date=0001-01-01":                             200,
		"/v1/payments/statistics/daily?date=9999-12-31":                             200,
		"/v1/users?name=" + strings.Repeat("%C3%A9", 200):                           200,
		"/v1/users?name=%25_%5C":                                                    200,
		"/v1/users?name=%27%3B--":                                                   200,
		"/v1/users?email=%F0%9F%98%80":                                              200,
		"/v1/events?name=" + strings.Repeat("a", 200) + "&correlation_id=%E2%80%A8": 200,
	} {
		if got := a.get(path); got.status != want {
			t.Errorf("%.100s: %d %.300s, want %d", path, got.status, got.body, want)
		}
	}
}
