package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"onepg/internal/fault"
	"onepg/internal/tail"
)

const (
	// retryMin and retryMax bound the pause a client is asked to make before it
	// reconnects. Why a range: those that a restart cut off at once must not
	// come back at once.
	retryMin, retryMax = time.Second, 3 * time.Second
	// farewell is how long the last words of a stream may take.
	farewell = time.Second
	// stretchBytes is how much is written under one write deadline.
	stretchBytes = 64 << 10
	// sendBuffer is what the kernel holds for a stream's client. Why so little:
	// it would grow to 4 MB for each that does not read, and hide that for long.
	sendBuffer = 128 << 10
	// limitRetry is the advice to a client that found all streams taken.
	limitRetry = 5 * time.Second
)

// streamSlots bounds how many streams are open.
type streamSlots struct{ free atomic.Int64 }

func (s *streamSlots) take() error {
	if s.free.Add(-1) >= 0 {
		return nil
	}
	s.give()
	return &fault.Error{
		Kind: fault.Unavailable, Code: codeUnavailable, RetryAfter: limitRetry,
		Message: "As many streams are open as this server serves. Come back later with the same position.",
	}
}

func (s *streamSlots) give() { s.free.Add(1) }

// stream registers GET <group>/stream. It is text/event-stream as the HTML
// standard has it (9.2), so that a browser's EventSource follows it, reconnects
// and resumes by itself:
//
//   - id is a position of the log, and Last-Event-ID brings it back.
//   - A stream that starts live begins with an id and no data, which fires no
//     event but is remembered: a client that loses the connection before its
//     first message misses none either. So does a heartbeat, where a filter
//     has passed over messages.
//   - retry spreads the clients that come back after a restart.
//
// The answer's write deadline is per 64 KiB. A client that is too slow is cut
// off; one that is told to go, because the server stops, gets a clean end.
func stream[I any](g *Group, op Operation, from *tail.Broadcast, read func(*I) (Resumption, tail.Filter)) {
	op.Path, op.EventStream = "/stream", true
	Get(g, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		where, filter := read(in)
		if err := g.api.streams.take(); err != nil {
			return nil, err
		}
		begin, err := where.resolve(ctx, from)
		if err != nil {
			g.api.streams.give()
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer g.api.streams.give()
			g.api.serveStream(hc, from, begin, filter)
		}}, nil
	})
}

// Resumption is embedded in the input of a stream.
type Resumption struct {
	LastEventID position `header:"Last-Event-ID" minimum:"0" doc:"The id of the last message the client has; only later ones are sent. It goes before after, because an EventSource repeats the first URL whenever it reconnects."` //nolint:tagliatelle // the HTML standard spells it so
	After       position `query:"after" minimum:"0" doc:"Only messages at greater positions; without it the stream starts live."`
}

// beginning is where a stream starts.
type beginning struct {
	position int64
	live     bool // at the end, as it is now
}

// resolve finds the beginning. A position that was never reached is refused:
// it is from another log, or one that was restored since, and to wait until it
// is reached would skip in silence what comes before.
func (r Resumption) resolve(ctx context.Context, from *tail.Broadcast) (beginning, error) {
	end, err := from.End(ctx)
	if err != nil {
		return beginning{}, fmt.Errorf("find the end of the stream: %w", err)
	}
	name, asked := "Last-Event-ID", r.LastEventID
	if !asked.given {
		name, asked = "after", r.After
	}
	switch {
	case !asked.given:
		return beginning{position: end, live: true}, nil
	case asked.value > end:
		return beginning{}, BadParameter(name, "is beyond the end, which is "+strconv.FormatInt(end, 10)+"; was the log replaced?")
	}
	return beginning{position: asked.value}, nil
}

// serveStream sends messages until the client leaves or is too slow, or the
// server stops.
func (a *API) serveStream(hc huma.Context, from *tail.Broadcast, begin beginning, filter tail.Filter) {
	w, ok := hc.BodyWriter().(http.ResponseWriter)
	if !ok {
		return // huma's own adapters for tests have no such writer
	}
	ctx, drop := context.WithCancelCause(hc.Context())
	defer drop(nil)
	follower := from.Follow(begin.position, filter, drop)
	defer follower.Close()
	boundSendBuffer(ctx)
	out := newStreamWriter(w, a.opts.Limits.AnswerTimeout)
	defer context.AfterFunc(ctx, out.hurry)()

	err := a.send(ctx, out, follower, begin)
	switch {
	case isClosed(Draining(ctx)):
		out.bye(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(context.Cause(ctx), tail.ErrOverrun):
		follower.Stalled()
	}
}

// send is the life of a stream. It returns why it ended.
func (a *API) send(ctx context.Context, out *streamWriter, follower *tail.Follower, begin beginning) error {
	if err := out.hello(ctx, begin); err != nil {
		return err
	}
	sent := begin.position
	for {
		messages, err := follower.Next(ctx, a.opts.Limits.Heartbeat)
		if err != nil {
			return err
		}
		if len(messages) > 0 {
			sent = messages[len(messages)-1].Position
			err = out.messages(ctx, messages)
		} else {
			id := ""
			if seen := follower.Position(); seen > sent { // a filter passed over messages
				id, sent = idLine(seen), seen
			}
			err = out.heartbeat(ctx, id)
		}
		if err != nil {
			return err
		}
	}
}

type connKey struct{}

// withConn lets a stream get at its connection.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

func boundSendBuffer(ctx context.Context) {
	if conn, ok := ctx.Value(connKey{}).(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = conn.SetWriteBuffer(sendBuffer) // a connection that fails here fails with the first write
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// retryLine is a field that tells the client how long to wait before it
// reconnects.
func retryLine() string {
	pause := retryMin + rand.N(retryMax-retryMin) //nolint:gosec // not a secret
	return "retry: " + strconv.FormatInt(pause.Milliseconds(), 10) + "\n"
}
