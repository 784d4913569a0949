package tail_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// message is what an EventSource hands to its listeners.
type message struct {
	id    int64 // of the last id seen, as an EventSource has it
	event string
	data  string
}

// client reads a stream as the HTML standard says (9.2.6).
type client struct {
	tb     testing.TB
	header http.Header
	body   io.Closer
	lines  *bufio.Reader
	leave  context.CancelFunc

	lastID int64 // what it would send as Last-Event-ID
	retry  time.Duration
}

// refusal is an answer that is no stream.
type refusal struct {
	status int
	header http.Header
	code   string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.status, r.code) }

// live is no Last-Event-ID.
const live = -1

// follow opens a stream after the position; live is none.
func (r *replica) follow(path string, after int64) *client {
	r.tb.Helper()
	lastEventID := ""
	if after != live {
		lastEventID = strconv.FormatInt(after, 10)
	}
	c, err := r.tryFollow(path, lastEventID)
	if err != nil {
		r.tb.Fatal(err)
	}
	return c
}

func (r *replica) tryFollow(path, lastEventID string) (*client, error) {
	ctx, leave := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, http.NoBody)
	if err != nil {
		leave()
		return nil, err
	}
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	res, err := r.http.Do(req)
	if err != nil {
		leave()
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer leave()
		defer res.Body.Close()
		var problem struct {
			Code string `json:"code"`
		}
		_ = json.NewDecoder(res.Body).Decode(&problem)
		return nil, &refusal{res.StatusCode, res.Header, problem.Code}
	}
	c := &client{
		tb: r.tb, header: res.Header, body: res.Body, lines: bufio.NewReader(res.Body), leave: leave,
	}
	c.lastID, _ = strconv.ParseInt(lastEventID, 10, 64) // the greeting has it where there is none
	r.tb.Cleanup(c.close)
	if m, _, err := c.block(); err != nil || m.data != "" {
		return nil, fmt.Errorf("greeting %+v: %w", m, err)
	}
	return c, nil
}

func (c *client) close() {
	c.leave()
	_ = c.body.Close()
}

// block reads to the next empty line. It fires an event when it has data.
func (c *client) block() (m message, comment string, err error) {
	for {
		line, err := c.lines.ReadString('\n')
		if err != nil {
			return m, comment, err // what is not complete is discarded
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n":
			m.id = c.lastID
			return m, comment, nil
		case field == "":
			comment = value
		case field == "id":
			c.lastID, err = strconv.ParseInt(value, 10, 64)
		case field == "event":
			m.event = value
		case field == "data":
			m.data += value
		case field == "retry":
			c.retry, err = time.ParseDuration(value + "ms")
		default:
			err = fmt.Errorf("unknown field %q", line)
		}
		if err != nil {
			return m, comment, err
		}
	}
}

// next reads to the end of the next message that fires an event.
func (c *client) next() (message, error) {
	for {
		m, _, err := c.block()
		if err != nil || m.data != "" {
			return m, err
		}
	}
}

// want reads one message, and fails the test when none comes in time.
func (c *client) want() message {
	c.tb.Helper()
	late := time.AfterFunc(patience, c.leave)
	defer late.Stop()
	m, err := c.next()
	if err != nil {
		c.tb.Fatalf("no message after %d: %v", c.lastID, err)
	}
	return m
}

// run reads messages up to the position and fails unless their ids are a run
// without gaps after the first.
func (c *client) run(upTo int64) {
	c.tb.Helper()
	for last := c.lastID; last < upTo; last++ {
		if m := c.want(); m.id != last+1 {
			c.tb.Fatalf("got %d after %d", m.id, last)
		}
	}
}

// end reads to the end of the stream and reports whether it was a clean one.
func (c *client) end() error {
	late := time.AfterFunc(patience, c.leave)
	defer late.Stop()
	for {
		if _, err := c.next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
