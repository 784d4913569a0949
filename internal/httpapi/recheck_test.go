package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

// A stream goes on while its credential opens it or nobody knows, and ends when
// it does not.
func TestAStreamEndsWithItsCredential(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Unauthenticated, fault.Forbidden} {
		var answer atomic.Pointer[fault.Error]
		asked := make(chan struct{}, 1000)
		f := newFixture(t, func(o *httpapi.Options) {
			o.Limits.StreamRecheck = time.Millisecond
			o.Authorize = func(r *http.Request, _ httpapi.Scope) (context.Context, error) {
				if refusal := answer.Load(); refusal != nil {
					asked <- struct{}{}
					return nil, refusal
				}
				return r.Context(), nil
			}
		})
		s := serve(t, f)
		conn := s.dial(t)
		if _, err := io.WriteString(conn, "GET /v1/things/stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		s.wait(t, f.started, "stream")
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = io.Copy(io.Discard, conn)
		}()
		for _, passing := range []fault.Kind{fault.Unavailable, fault.Limited} {
			answer.Store(fault.New(passing, "passing", "Later."))
			s.wait(t, asked, "question")
			s.wait(t, asked, "question after one that could not be answered")
		}
		select {
		case <-ended:
			t.Fatal("the stream ended although nobody said no")
		default:
		}
		answer.Store(fault.New(kind, "no", "No."))
		s.wait(t, ended, "end of the stream")
		s.stop()
		s.wait(t, s.done, "end of Serve")
	}
}
