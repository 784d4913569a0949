package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// prepareStream measures how long after an event was recorded the clients that
// follow the log have it.
func prepareStream(ctx context.Context, s *stage) ([]subject, error) {
	program, err := s.program(ctx, "stream")
	if err != nil {
		return nil, err
	}
	const thousand, events = 1000, 200
	clients := cmp.Or(10*s.options.each, thousand)
	follow, _ := newRequest(http.MethodGet, "/v1/events/stream", "", 0)
	request, marks := newRequest(http.MethodPost, "/v1/users/events", userCreated, 0)
	// Why not shorter: a thousand connections take their time to begin.
	duration := max(s.options.Duration, 2*time.Second)
	followers := load{Connections: clients, Request: follow, Stream: true, Duration: duration}
	steady := load{Connections: 4, Request: request, Marks: marks, Status: http.StatusCreated, Rate: events, Duration: duration}
	return []subject{{
		name: "stream", what: fmt.Sprintf("recorded to received, %d followers, %d events/s", clients, events), unit: millis,
		checks: []check{latencyAt(p99).most(500)},
		run: func(context.Context) (sample, error) {
			results, used, err := s.send(program, followers, steady)
			if err != nil {
				return sample{}, err
			}
			seen := results[0].Latency
			return sample{figure: seen.P50, latency: &seen, cores: used}, nil
		},
	}}, nil
}

// follow sends the request once and reads messages until the measured time is
// over. What it notes is the age of the oldest message of each read, by the
// clock that server and clients share.
func (c *client) follow(begin, end time.Time) error {
	if _, err := c.conn.socket.Write(c.Request); err != nil {
		return fmt.Errorf("ask for a stream: %w", err)
	}
	if err := c.conn.socket.SetReadDeadline(end); err != nil {
		return fmt.Errorf("limit the stream: %w", err)
	}
	for first := true; ; first = false {
		c.conn.buffer = c.conn.buffer[:0]
		err := c.conn.fill()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow a stream: %w", err)
		}
		if first && !bytes.HasPrefix(c.conn.buffer, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("the server under test refuses to stream: %s", c.conn.buffer)
		}
		if recorded, ok := recordedAt(c.conn.buffer); ok && recorded.After(begin) {
			c.took = append(c.took, now().Sub(recorded))
		}
	}
}

// recordedAt finds the time of the first event in a piece of a stream.
func recordedAt(piece []byte) (time.Time, bool) {
	_, after, ok := bytes.Cut(piece, []byte(`"recorded_at":"`))
	if !ok {
		return time.Time{}, false
	}
	text, _, _ := bytes.Cut(after, []byte(`"`))
	at, err := time.Parse(time.RFC3339Nano, string(text)) // fails for half a time
	return at, err == nil
}
