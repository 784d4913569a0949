package httpapi

import (
	"context"
	"fmt"
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
	patience time.Duration // for one stretch
	written  int           // of the stretch
}

// newStreamWriter looks below gin's writer for the one that says when a flush
// fails.
func newStreamWriter(w http.ResponseWriter, patience time.Duration) *streamWriter {
	below := w
	if wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		below = wrapped.Unwrap()
	}
	return &streamWriter{w: w, conn: http.NewResponseController(below), patience: patience, written: stretchBytes}
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
	for _, m := range messages {
		if err := s.write(ctx, m.Frame); err != nil {
			return err
		}
	}
	return s.flush()
}

// heartbeat is a comment, and perhaps an id. Proxies and clients take a silent
// connection for a dead one.
func (s *streamWriter) heartbeat(ctx context.Context, id string) error {
	return s.text(ctx, ": heartbeat\n"+id+"\n")
}

// bye asks the client to come back, here or at another replica. A client that
// is gone already is not missed.
func (s *streamWriter) bye(ctx context.Context) {
	_ = s.text(ctx, ": the server stops, please reconnect\n"+retryLine()+"\n")
}

func (s *streamWriter) text(ctx context.Context, text string) error {
	if err := s.write(ctx, []byte(text)); err != nil {
		return err
	}
	return s.flush()
}

func (s *streamWriter) write(ctx context.Context, text []byte) error {
	if s.written += len(text); s.written > stretchBytes {
		s.extend(ctx)
		s.written = len(text)
	}
	if _, err := s.w.Write(text); err != nil {
		return fmt.Errorf("write to the stream's client: %w", err)
	}
	return nil
}

// flush sends what was written, and ends the stretch.
func (s *streamWriter) flush() error {
	s.written = stretchBytes
	if err := s.conn.Flush(); err != nil {
		return fmt.Errorf("send to the stream's client: %w", err)
	}
	return nil
}

// extend gives the next stretch its time, unless the stream has ended. Why the
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
