package httpapi

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"onepg/internal/tail"
)

// streamWriter writes to one client. Its owner is one goroutine; only hurry may
// be called from another.
type streamWriter struct {
	w        http.ResponseWriter
	conn     *http.ResponseController
	patience time.Duration // for one write
}

// newStreamWriter looks below gin's writer for the one that says when a flush
// fails.
func newStreamWriter(w http.ResponseWriter, patience time.Duration) *streamWriter {
	below := w
	if wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		below = wrapped.Unwrap()
	}
	return &streamWriter{w: w, conn: http.NewResponseController(below), patience: patience}
}

// hello answers before there is any message, so that the client knows it is
// connected.
func (s *streamWriter) hello(ctx context.Context, begin beginning) error {
	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream")
	// Why: nginx would collect messages until its buffer is full.
	header.Set("X-Accel-Buffering", "no")
	s.w.WriteHeader(http.StatusOK)
	text := retryLine()
	if begin.live {
		text += idLine(begin.position)
	}
	return s.text(ctx, text+"\n")
}

func (s *streamWriter) messages(ctx context.Context, messages []*tail.Message) error {
	pending := stretchBytes
	for _, m := range messages {
		if pending += len(m.Frame); pending >= stretchBytes {
			s.extend(ctx)
			pending = 0
		}
		if _, err := s.w.Write(m.Frame); err != nil {
			return err
		}
	}
	return s.conn.Flush()
}

// heartbeat is a comment. Proxies and clients take a silent connection for a
// dead one.
func (s *streamWriter) heartbeat(ctx context.Context, position int64, moved bool) error {
	text := ": heartbeat\n"
	if moved {
		text += idLine(position)
	}
	return s.text(ctx, text+"\n")
}

// bye asks the client to come back, here or at another replica.
func (s *streamWriter) bye() {
	_ = s.conn.SetWriteDeadline(deadline(farewell))
	if _, err := io.WriteString(s.w, ": the server stops, please reconnect\n"+retryLine()+"\n"); err == nil {
		_ = s.conn.Flush() // the client is gone; there is nobody to tell
	}
}

func (s *streamWriter) text(ctx context.Context, text string) error {
	s.extend(ctx)
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return s.conn.Flush()
}

// extend gives the next write its time, unless the stream has ended. Why the
// look at ctx comes after: when ctx ends before it, hurry is called here; when
// it ends later, the AfterFunc calls it later than this has set its deadline.
func (s *streamWriter) extend(ctx context.Context) {
	_ = s.conn.SetWriteDeadline(deadline(s.patience)) // only a recorder in a test has none
	if ctx.Err() != nil {
		s.hurry()
	}
}

// hurry ends a write that a client is holding up, so that it holds up no more
// than itself.
func (s *streamWriter) hurry() { _ = s.conn.SetWriteDeadline(deadline(farewell)) }

func idLine(position int64) string { return "id: " + strconv.FormatInt(position, 10) + "\n" }

// deadline is on the clock of the network.
func deadline(d time.Duration) time.Time {
	return time.Now().Add(d) //nolint:forbidigo // net takes deadlines on the real clock
}
