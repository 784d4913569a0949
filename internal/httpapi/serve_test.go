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
		{"unknown transfer coding", rawPost + "Transfer-Encoding: gzip\r\n\r\n", 501},
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

func TestPanicInsideAnAnswerCutsIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Group("extra").Raw(httpapi.Operation{ID: "half", Method: "GET", Path: "/half", Scope: httpapi.Public}, func(c *gin.Context) error {
		if _, err := c.Writer.WriteString("half"); err != nil {
			return err
		}
		c.Writer.Flush()
		panic("canary")
	})
	res := serve(t, f).say(t, "GET /v1/extra/half HTTP/1.1\r\nHost: x\r\n\r\n")
	if !errors.Is(res.cut, io.ErrUnexpectedEOF) || res.body != "half" {
		t.Errorf("%q, %v; want a cut after half", res.body, res.cut)
	}
	if n := strings.Count(f.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d error lines", n)
	}
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := serve(t, f)
	conn := s.dial(t)
	if _, err := io.WriteString(conn, "GET /v1/things/slow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	s.wait(t, f.started, "slow request")
	s.stop()
	for deadline := time.Now().Add(patience); f.do("GET", "/readyz", "").Code != http.StatusServiceUnavailable; {
		if time.Now().After(deadline) {
			t.Fatal("/readyz stays ready")
		}
	}
	for deadline := time.Now().Add(patience); ; {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.addr)
		if err != nil {
			break // no longer accepting
		}
		_ = c.Close()
		if time.Now().After(deadline) {
			t.Fatal("connections are still accepted")
		}
	}
	close(f.release)
	res := answer(t, bufio.NewReader(conn))
	<-s.done
	if res.status != http.StatusOK || s.err != nil {
		t.Errorf("%d, Serve: %v", res.status, s.err)
	}
}

func TestShutdownEndsStreamsAndWaits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	op := httpapi.Operation{ID: "wait", Method: "GET", Path: "/wait", Scope: httpapi.Public}
	f.Group("extra").Raw(op, func(c *gin.Context) error {
		f.started <- struct{}{}
		<-httpapi.Draining(c.Request.Context())
		return httpapi.WriteJSON(c, http.StatusOK, "what there is")
	})
	s := serve(t, f)
	for _, path := range []string{"/v1/things/stream", "/v1/extra/wait"} {
		if _, err := io.WriteString(s.dial(t), "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		s.wait(t, f.started, path)
	}
	s.stop()
	select {
	case <-s.done:
		if s.err != nil {
			t.Errorf("Serve: %v", s.err)
		}
	case <-time.After(patience):
		t.Fatal("a stream holds the shutdown")
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

func TestShutdownCutsWhatDoesNotFinish(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.ShutdownTimeout = 20 * time.Millisecond })
	s := serve(t, f)
	if _, err := io.WriteString(s.dial(t), "GET /v1/things/slow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	s.wait(t, f.started, "slow request")
	s.stop()
	<-s.done
	if !errors.Is(s.err, context.DeadlineExceeded) {
		t.Errorf("Serve: %v, want a report of the cut", s.err)
	}
}

func TestFaultyAPIIsNotServed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Group("x").Raw(httpapi.Operation{}, nil)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Serve(t.Context(), ln); err == nil {
		t.Error("served")
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is left open: %v", err)
	}
}
