package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

// patience is how long a test waits for what should come at once.
const patience = 10 * time.Second

// served is a fixture behind a real listener.
type served struct {
	*fixture

	addr string
	stop context.CancelFunc
	done chan struct{}
	err  error // of Serve, once done
}

func serve(t *testing.T, f *fixture) *served {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &served{fixture: f, addr: ln.Addr().String(), stop: stop, done: make(chan struct{})}
	go func() { s.err = f.Serve(ctx, ln); close(s.done) }()
	t.Cleanup(func() {
		stop()
		select {
		case <-s.done:
		case <-time.After(patience):
			t.Error("Serve does not end")
		}
	})
	return s
}

func (s *served) wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
}

func (s *served) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// say writes raw bytes and reads one answer; its status is 0 when the
// connection closes without one.
func (s *served) say(t *testing.T, request string) reply {
	t.Helper()
	conn := s.dial(t)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return answer(t, bufio.NewReader(conn))
}

func answer(t *testing.T, from *bufio.Reader) reply {
	t.Helper()
	res, err := http.ReadResponse(from, nil)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return reply{}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return reply{status: res.StatusCode, header: res.Header, body: string(body), closes: res.Close, cut: err}
}

const rawPost = "POST /v1/things/raw HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

func TestHostileFramingGetsAProblem(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.BodyTimeout = 50 * time.Millisecond })
	s := serve(t, f)
	cases := []struct {
		name, request string
		status        int
		code          string
	}{
		{"slow body", rawPost + "Content-Length: 10\r\n\r\n{", 408, "request-timeout"},
		{"slow chunk", rawPost + "Transfer-Encoding: chunked\r\n\r\n5\r\n{", 408, "request-timeout"},
		{"slow body nobody reads", "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{", 404, "not-found"},
		{"announced too large", rawPost + "Content-Length: 1048577\r\n\r\n", 413, "too-large"},
		{"broken chunk", rawPost + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400, "malformed-body"},
		{"header bomb", "GET /livez HTTP/1.1\r\nHost: x\r\nX-Bomb: " + strings.Repeat("a", 17<<10) + "\r\n\r\n", 431, "headers-too-large"},
		{"many headers", "GET /livez HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 4<<10) + "\r\n", 431, "headers-too-large"},
		{"long path", "GET /" + strings.Repeat("a", 17<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431, "headers-too-large"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res := s.say(t, c.request)
			wantProblemIn(t, res, c.status, c.code)
			if (c.status == 408 || c.status == 413) && !res.closes {
				t.Error("waits for the rest of a body nobody will read")
			}
		})
	}
}

// These never become requests, so net/http refuses or closes them itself.
func TestWhatIsNoRequestIsRefusedByTheServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.HeaderTimeout = 50 * time.Millisecond })
	s := serve(t, f)
	cases := []struct {
		name, request string
		status        int // 0: closed without an answer
	}{
		{"slow headers", "GET /livez HTTP/1.1\r\nHost: x\r\n", 0},
		{"endless headers", "GET /livez HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 100<<10), 431},
		{"two different lengths", rawPost + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
		{"no host", "GET /livez HTTP/1.1\r\n\r\n", 400},
		{"unknown transfer coding", rawPost + "Transfer-Encoding: gzip\r\n\r\n", 400},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if res := s.say(t, c.request); res.status != c.status {
				t.Errorf("%d %s, want %d", res.status, res.body, c.status)
			}
		})
	}
	if log := f.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
		t.Errorf("logged above INFO:\n%s", log)
	}
}

// RFC 9112, 6.3: the chunks count and the length is ignored, so nothing can be
// smuggled behind it.
func TestLengthBesideChunksIsIgnored(t *testing.T) {
	t.Parallel()
	res := serve(t, newFixture(t)).say(t, rawPost+"Content-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
	if res.body != "{\"bytes\":2}\n" {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestEndlessChunksAreCutAtTheLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, newFixture(t))
	conn := s.dial(t)
	if _, err := io.WriteString(conn, rawPost+"Transfer-Encoding: chunked\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	chunk := "10000\r\n" + strings.Repeat(" ", 0x10000) + "\r\n"
	go func() {
		for range 1000 { // ends when the server has had enough
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	}()
	wantProblemIn(t, answer(t, bufio.NewReader(conn)), 413, "too-large")
}

func TestConnectionIsUsableAfterARefusal(t *testing.T) {
	t.Parallel()
	s := serve(t, newFixture(t))
	conn := s.dial(t)
	reader := bufio.NewReader(conn)
	post := func(body string) reply {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/v1/things", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if err := req.Write(conn); err != nil {
			t.Fatal(err)
		}
		return answer(t, reader)
	}
	wantProblemIn(t, post(`{`), 400, "malformed-body")
	wantProblemIn(t, post(`{}`), 422, "validation-failed")
	if res := post(`{"name":"x"}`); res.status != http.StatusCreated {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestReadDeadlineOfABodyDoesNotEndTheWaitAfterIt(t *testing.T) {
	t.Parallel()
	const bodyTimeout = 30 * time.Millisecond
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.BodyTimeout = bodyTimeout })
	op := httpapi.Operation{ID: "later", Method: "POST", Path: "/later", Scope: httpapi.Public}
	f.Group("extra").Raw(op, func(c *gin.Context) error {
		if _, err := io.ReadAll(c.Request.Body); err != nil {
			return err
		}
		select {
		case <-time.After(3 * bodyTimeout):
			return httpapi.WriteJSON(c, http.StatusOK, "later")
		case <-c.Request.Context().Done():
			return c.Request.Context().Err()
		}
	})
	res := serve(t, f).say(t, "POST /v1/extra/later HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
	if res.status != http.StatusOK {
		t.Errorf("%d %s", res.status, res.body)
	}
}

func TestDefectInsideAnAnswerCutsIt(t *testing.T) {
	t.Parallel()
	for _, panics := range []bool{true, false} {
		res, log := halfAnswer(t, func() error {
			if panics {
				panic("canary")
			}
			return errors.New("canary")
		})
		if !errors.Is(res.cut, io.ErrUnexpectedEOF) || res.body != "half" {
			t.Errorf("%q, %v; want a cut after half", res.body, res.cut)
		}
		if n := strings.Count(log, "level=ERROR"); n != 1 {
			t.Errorf("%d error lines", n)
		}
	}
}

func TestForeseenEndOfAnAnswerIsAnEnd(t *testing.T) {
	t.Parallel()
	res, _ := halfAnswer(t, func() error { return fault.New(fault.Unavailable, "unavailable", "Enough.") })
	if res.cut != nil || res.body != "half" {
		t.Errorf("%q, %v; want half and no more", res.body, res.cut)
	}
}

// halfAnswer asks a handler that begins an answer and then ends as told.
func halfAnswer(t *testing.T, end func() error) (res reply, log string) {
	t.Helper()
	f := newFixture(t)
	op := httpapi.Operation{ID: "half", Method: "GET", Path: "/half", Scope: httpapi.Public}
	f.Group("extra").Raw(op, func(c *gin.Context) error {
		if _, err := c.Writer.WriteString("half"); err != nil {
			return err
		}
		c.Writer.Flush()
		return end()
	})
	res = serve(t, f).say(t, "GET /v1/extra/half HTTP/1.1\r\nHost: x\r\n\r\n")
	return res, f.log.String()
}

func TestRefusalDoesNotWaitForABodyNobodyReads(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.BodyBytes = 10 })
	wantProblemIn(t, serve(t, f).say(t, rawPost+"Content-Length: 20\r\n\r\n"), 413, "too-large")
}

func TestWaitTheClientAskedForComesOnTopOfTheAnswerTimeout(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.AnswerTimeout = time.Second })
	op := httpapi.Operation{ID: "left", Method: "GET", Path: "/left", Scope: httpapi.Public}
	f.Group("extra").Raw(op, func(c *gin.Context) error {
		deadline, _ := c.Request.Context().Deadline()
		return httpapi.WriteJSON(c, http.StatusOK, time.Until(deadline).Round(time.Second).Seconds())
	})
	if got := f.do("GET", "/v1/extra/left", "", "Prefer: wait=20").Body.String(); got != "21\n" {
		t.Errorf("%s seconds", got)
	}
}

func TestStreamOutlivesTheLimitsOfAnswers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.AnswerTimeout = time.Millisecond })
	op := httpapi.Operation{ID: "long", Method: "GET", Path: "/long", Scope: httpapi.Public, EventStream: true}
	f.Group("extra").Raw(op, func(c *gin.Context) error {
		_, limited := c.Request.Context().Deadline()
		return httpapi.WriteJSON(c, http.StatusOK, limited)
	})
	if got := f.do("GET", "/v1/extra/long", "").Body.String(); got != "false\n" {
		t.Errorf("has a deadline: %s", got)
	}
}
