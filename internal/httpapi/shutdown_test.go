package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"onepg/internal/httpapi"
)

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

func TestShutdownCutsWhatDoesNotFinish(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(o *httpapi.Options) { o.Limits.ShutdownTimeout = 20 * time.Millisecond })
	ended := make(chan struct{})
	op := httpapi.Operation{ID: "stuck", Method: "POST", Path: "/stuck", Scope: httpapi.Public}
	f.Group("extra").Raw(op, func(c *gin.Context) error {
		defer close(ended)
		f.started <- struct{}{}
		<-c.Request.Context().Done() // the body is unread, so net/http cannot notice the closed connection
		return c.Request.Context().Err()
	})
	s := serve(t, f)
	if _, err := io.WriteString(s.dial(t), "POST /v1/extra/stuck HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	s.wait(t, f.started, "stuck request")
	s.stop()
	s.wait(t, s.done, "end of Serve")
	if !errors.Is(s.err, context.DeadlineExceeded) {
		t.Errorf("Serve: %v, want a report of the cut", s.err)
	}
	s.wait(t, ended, "end of the handler")
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
