//go:build fault

package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A reader follows the whole log over all faults, resuming where it was.
type reader struct {
	session

	replicas []*replica
	log      *recorder
	cancel   context.CancelFunc
	done     chan struct{}

	mu   sync.Mutex
	last int64
}

// follow starts a reader of a kind: stream uses Server-Sent Events, straggle
// too but with long absences, and poll pages of the log.
func follow(ctx context.Context, kind, name string, replicas []*replica, log *recorder) *reader {
	ctx, cancel := context.WithCancel(ctx)
	r := &reader{
		session:  session{Reader: name, Kind: kind},
		replicas: replicas, log: log, cancel: cancel, done: make(chan struct{}),
	}
	read := r.stream
	switch kind {
	case "poll":
		read = r.poll
	case "straggle":
		read = r.straggle
	}
	go func() {
		defer close(r.done)
		for turn := 0; ctx.Err() == nil; turn++ {
			if turn > 0 {
				r.Resumed++
			}
			read(ctx, r.replicas[turn%len(r.replicas)])
			_ = pause(ctx, 100*time.Millisecond)
		}
	}()
	return r
}

// reached is the last position that the reader was given.
func (r *reader) reached() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *reader) got(position int64, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Seen = append(r.Seen, seen{position, id})
	r.last = position
}

// stop ends the reader and records what it was given.
func (r *reader) stop() {
	r.cancel()
	<-r.done
	r.log.session(r.session)
}

// stream reads one connection to its end.
func (r *reader) stream(ctx context.Context, from *replica) {
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.url()+"/v1/events/stream", nil)
	if err != nil {
		return
	}
	req.Header.Set("Last-Event-ID", strconv.FormatInt(r.reached(), 10))
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return
	}
	_ = messages(bufio.NewReader(res.Body), r.got)
}

// straggle is a stream that ends soon and is resumed late, when what was missed
// is more than the server keeps for its clients and has to be read again.
func (r *reader) straggle(ctx context.Context, from *replica) {
	brief, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
	defer cancel()
	r.stream(brief, from)
	_ = pause(ctx, 1500*time.Millisecond)
}

// messages parses Server-Sent Events until the stream ends. Only whole messages
// count, as in a browser.
func messages(lines *bufio.Reader, got func(position int64, id string)) error {
	var id, data string
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "id":
			id = value
		case field == "data":
			data += value
		case line == "" && data != "":
			position, err := strconv.ParseInt(id, 10, 64)
			if err != nil {
				return fmt.Errorf("id %q: %w", id, err)
			}
			// Why not decoded: 500 clients on two cores.
			_, rest, _ := strings.Cut(data, `"id":"`)
			event, _, _ := strings.Cut(rest, `"`)
			got(position, event)
			data = ""
		}
	}
}

// poll reads pages until one does not come.
func (r *reader) poll(ctx context.Context, from *replica) {
	c := newClient(r.Reader, r.log)
	defer c.close()
	for ctx.Err() == nil {
		_, a := c.do(ctx, from, op{Kind: "read"}, request{
			method: http.MethodGet, path: "/v1/events?limit=500&after=" + strconv.FormatInt(r.reached(), 10),
		})
		if a == nil || a.status != http.StatusOK {
			return
		}
		var page struct {
			Items []struct {
				ID       string
				Position int64
			}
		}
		if err := json.Unmarshal(a.body, &page); err != nil {
			return
		}
		for _, item := range page.Items {
			r.got(item.Position, item.ID)
		}
		if len(page.Items) < 500 {
			_ = pause(ctx, 20*time.Millisecond)
		}
	}
}
