package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// The suite of bad input is RELIABILITY's section 4, case by case, over the
// whole program: hostile_body_test.go has the bodies, ids and events,
// hostile_http_test.go what HTTP can carry, hostile_read_test.go parameters,
// hostile_access_test.go credentials and the channel, payments_test.go the
// fields of commands. What is legal though it looks strange is in
// oddities_test.go, what may just be is in limits_test.go.

// bad is one thing a client can get wrong.
type bad struct {
	what   string
	send   string // the request to the byte; see request
	status int
	code   string
	// pointers are those of all mistakes, each once, in the order of the answer;
	// anyPointer where there are none to speak of.
	pointers string
	closes   bool // the connection ends with the answer, because the rest of the request is still on it
}

// anyPointer stands for pointers that are not looked at.
const anyPointer = "-"

// quickly is how soon a refusal must be there. It takes milliseconds; the rest
// is for a busy machine.
const quickly = 5 * time.Second

// request is a request as it goes over the wire. A header that is given
// replaces the one of that name that would be there.
func request(method, path, body string, headers ...string) string {
	all := []string{"Host: localhost"}
	if method == http.MethodPost {
		all = append(all, "Content-Type: application/json", "Content-Length: "+strconv.Itoa(len(body)))
	}
	for _, h := range headers {
		name, _, _ := strings.Cut(h, ":")
		all = slices.DeleteFunc(all, func(s string) bool { return strings.HasPrefix(s, name+":") })
		if !strings.HasSuffix(h, ": ") { // "Name: " only takes it away
			all = append(all, h)
		}
	}
	return method + " " + path + " HTTP/1.1\r\n" + strings.Join(all, "\r\n") + "\r\n\r\n" + body
}

// appending is a POST of user events.
func appending(body string, headers ...string) string {
	return request(http.MethodPost, "/v1/users/events", body, headers...)
}

// wire is a connection on which a client may write anything.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
}

func (a *api) dial(t *testing.T) *wire {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &wire{conn: conn, in: bufio.NewReader(conn)}
}

// say sends a request and reads its answer, within the time.
func (w *wire) say(text string, within time.Duration) (answer, bool, error) {
	if err := w.conn.SetDeadline(time.Now().Add(within)); err != nil {
		return answer{}, false, err
	}
	go func() { _, _ = io.WriteString(w.conn, text) }() // the answer may come before it is all there
	return w.hear(text)
}

// hear reads the answer to a request, and whether the connection ends with it.
func (w *wire) hear(text string) (answer, bool, error) {
	method, _, _ := strings.Cut(text, " ")
	response, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		return answer{}, true, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(body)}, response.Close, err
}

// rows counts what every table of the database holds, but for those in which the
// program notes how far it is. It waits for the views, so that they show what
// was stored before.
func (a *api) rows(t *testing.T) string {
	t.Helper()
	db := connect(t, a.database)
	a.eventually("all views are at the head", func() (there bool) {
		err := db.NewRaw(`SELECT bool_and(v."position" >= h."position") FROM view_positions v, event_log_head h`).Scan(t.Context(), &there)
		return err == nil && there
	})
	var counts []string
	err := db.NewRaw(`
		SELECT table_name || ' ' || (xpath('/row/n/text()', query_to_xml(
		         format('SELECT count(*) AS n FROM %I', table_name), false, true, '')))[1]
		  FROM information_schema.tables
		 WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
		   AND table_name NOT IN ('event_seals', 'view_positions') ORDER BY 1`).Scan(t.Context(), &counts)
	if err != nil || len(counts) < 5 {
		t.Fatalf("%q %v", counts, err)
	}
	return strings.Join(counts, ", ")
}

// head is the log's last position, straight from the database.
func (a *api) head(t *testing.T) func() int64 {
	t.Helper()
	db := connect(t, a.database)
	return func() (position int64) {
		t.Helper()
		if err := db.NewRaw("SELECT position FROM event_log_head").Scan(t.Context(), &position); err != nil {
			t.Fatal(err)
		}
		return position
	}
}

// refuses sends the cases one after the other and holds each to the promise:
// the refusal it must be, as a problem, quickly, with nothing stored and the
// connection usable. In the end nothing at all is stored and the program works.
func (a *api) refuses(t *testing.T, cases []bad) {
	t.Helper()
	before, head, w := a.rows(t), a.head(t), a.dial(t)
	position := head()
	for _, c := range cases {
		began := time.Now()
		got, closed, err := w.say(c.send, quickly)
		if err != nil {
			t.Errorf("%s: no answer after %s: %v", c.what, time.Since(began), err)
			w = a.dial(t)
			continue
		}
		c.judge(t, got)
		if closed != c.closes {
			t.Errorf("%s: the connection was closed: %t", c.what, closed)
		}
		if closed {
			_ = w.conn.Close()
			w = a.dial(t)
		} else if alive, _, err := w.say(request(http.MethodGet, "/livez", ""), quickly); err != nil || alive.status != http.StatusOK {
			t.Errorf("%s: the connection is of no use afterwards: %d %v", c.what, alive.status, err)
			w = a.dial(t)
		}
		if now := head(); now != position {
			t.Errorf("%s: something was stored, the log ends at %d", c.what, now)
			position = now
		}
	}
	if after := a.rows(t); after != before {
		t.Errorf("was stored: %s\nbefore: %s", after, before)
	}
}

// judge holds an answer to what a problem must be.
func (c bad) judge(t *testing.T, got answer) {
	t.Helper()
	if strings.HasPrefix(c.send, http.MethodHead) {
		if got.status != c.status {
			t.Errorf("%s: %d, want %d", c.what, got.status, c.status)
		}
		return
	}
	var p struct {
		Type, Title, Detail, Instance, Code string
		Status                              int
		Errors                              []struct{ Pointer, Detail string }
	}
	if err := json.Unmarshal([]byte(got.body), &p); err != nil || got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d, no problem but %q (%s)", c.what, got.status, got.body, got.header.Get("Content-Type"))
		return
	}
	if got.status != c.status || p.Code != c.code {
		t.Errorf("%s: %d %s, want %d %s\n%s", c.what, got.status, p.Code, c.status, c.code, got.body)
	}
	if p.Status != got.status || p.Type != "/problems/"+p.Code || p.Title == "" || p.Detail == "" || p.Instance == "" ||
		p.Instance != got.header.Get("X-Request-ID") {
		t.Errorf("%s: not a whole problem: %v %s", c.what, got.header, got.body)
	}
	if (got.status == http.StatusMethodNotAllowed) != (got.header.Get("Allow") != "") {
		t.Errorf("%s: Allow is %q", c.what, got.header.Get("Allow"))
	}
	var pointers []string
	for _, e := range p.Errors {
		if e.Detail == "" {
			t.Errorf("%s: a mistake without words: %s", c.what, got.body)
		}
		if !slices.Contains(pointers, e.Pointer) {
			pointers = append(pointers, e.Pointer)
		}
	}
	if c.pointers != anyPointer && (strings.Join(pointers, " ") != c.pointers || len(p.Errors) == 0) {
		t.Errorf("%s: mistakes at %q, want %q\n%s", c.what, pointers, c.pointers, got.body)
	}
	if now := canaryIn(got.body); now != "" {
		t.Errorf("%s: the answer repeats %q", c.what, now)
	}
}

// refused is a case whose mistakes have no pointers.
func refused(status int, code string, sends map[string]string) []bad {
	var cases []bad
	for what, send := range sends {
		cases = append(cases, bad{what: what, send: send, status: status, code: code, pointers: anyPointer})
	}
	slices.SortFunc(cases, func(a, b bad) int { return strings.Compare(a.what, b.what) })
	return cases
}

// someone is a good event about a new user, with more fields if wanted.
func someone(more ...string) string {
	return about(uuid.New(), more...)
}

func about(id uuid.UUID, more ...string) string {
	e := event(uuid.New(), id, "user.created", ada)
	if len(more) > 0 {
		e = strings.TrimSuffix(e, "}") + "," + strings.Join(more, ",") + "}"
	}
	return e
}

// created is an event of a new user with the payload.
func created(payload string) string { return event(uuid.New(), uuid.New(), "user.created", payload) }

// works is the proof that a program was not harmed.
func (a *api) works(t *testing.T) {
	t.Helper()
	if got := a.post(someone(), "Prefer: wait=10"); got.status != http.StatusCreated || got.header.Get("Preference-Applied") == "" {
		t.Errorf("a good event after all this: %d %s", got.status, got.body)
	}
	for _, path := range []string{"/readyz", "/v1/users", "/v1/payments", "/v1/events", "/v1/views"} {
		if got := a.get(path); got.status != http.StatusOK {
			t.Errorf("%s after all this: %d %s", path, got.status, got.body)
		}
	}
}

// nested is a JSON value in so many arrays.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func quoted(s string) string { return fmt.Sprintf("%q", s) }

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
