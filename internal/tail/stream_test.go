package tail_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"onepg/internal/eventsourcing"
)

const eventStream = "/v1/events/stream"

func TestAStreamStartsLiveAndCarriesTheRecordedEvent(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.append(someone(3)...)
	c := r.follow(eventStream, live)
	id := uuid.New()
	r.append(created(id))

	m := c.want()
	if m.id != 4 || m.event != "user.created" || c.retry == 0 {
		t.Fatalf("id %d, event %q, retry %s", m.id, m.event, c.retry)
	}
	var streamed, stored eventsourcing.Recorded
	if err := json.Unmarshal([]byte(m.data), &streamed); err != nil || streamed.AggregateID != id {
		t.Fatalf("%s: %v", m.data, err)
	}
	_, text := r.get("/v1/events/" + streamed.ID.String())
	if err := json.Unmarshal([]byte(text), &stored); err != nil || m.data != strings.TrimSpace(text) {
		t.Fatalf("the stream says %s, the log says %s", m.data, text)
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
	} {
		if got := c.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// A client that is cut off before its first message has nothing but the id that
// came with the greeting; it must be enough.
func TestAClientCutOffBeforeItsFirstMessageMissesNothing(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.append(someone(3)...)
	c := r.follow(eventStream, live)
	c.close()
	if c.lastID != 3 {
		t.Fatalf("Last-Event-ID would be %d", c.lastID)
	}
	r.append(someone(3)...)
	r.follow(eventStream, c.lastID).run(6)
}

func TestAResumedStreamIsOneRunWithoutGaps(t *testing.T) {
	t.Parallel()
	const events, clients = 2000, 8
	r := start(t, "--stream-buffer=32") // so that clients fall behind it and come back
	var all errgroup.Group
	all.Go(func() error {
		random := rand.New(rand.NewPCG(1, 2))
		for left := events; left > 0; {
			n := min(left, 1+random.IntN(150)*random.IntN(2))
			if _, err := r.tryAppend(someone(n)...); err != nil {
				return err
			}
			left -= n
		}
		return nil
	})
	for seed := range uint64(clients) {
		all.Go(func() error {
			random := rand.New(rand.NewPCG(seed, 3))
			return r.followWithCuts(random, events)
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

// followWithCuts reads the whole log in sessions that it ends at random.
func (r *replica) followWithCuts(random *rand.Rand, upTo int64) error {
	last := int64(0)
	for last < upTo {
		c, err := r.tryFollow(eventStream, strconv.FormatInt(last, 10))
		if err != nil {
			return err
		}
		late := time.AfterFunc(patience, c.leave)
		for range 1 + random.IntN(400) {
			m, err := c.next()
			if err != nil {
				return fmt.Errorf("after %d: %w", last, err)
			}
			if m.id != last+1 {
				return fmt.Errorf("got %d after %d", m.id, last)
			}
			if last = m.id; last == upTo {
				break
			}
		}
		late.Stop()
		c.close()
	}
	return nil
}

func TestAFilterSelectsWhatTheLogSelects(t *testing.T) {
	t.Parallel()
	r := start(t, "--stream-buffer=16")
	ada, bob := uuid.New(), uuid.New()
	fill := func() int64 {
		r.append(someone(20)...)
		r.append(renamed(ada, "Ada"), renamed(bob, "Bob"), renamed(ada, "Countess").correlated("the-countess"))
		return r.append(someone(20)...)
	}
	r.append(created(ada), created(bob))
	fill()
	for _, filter := range []string{
		"aggregate_id=" + ada.String(), "name=user.updated", "aggregate=user", "aggregate=payment",
		"aggregate_id=" + bob.String() + "&name=user.updated", "correlation_id=the-countess", "correlation_id=nobodys",
	} {
		past := r.follow(eventStream+"?"+filter, 0)
		head := fill()
		_, text := r.get("/v1/events?limit=500&" + filter)
		var page struct{ Items []struct{ Position int64 } }
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Items {
			if m := past.want(); m.id != e.Position {
				t.Errorf("%s: got %d, the log has %d", filter, m.id, e.Position)
			}
		}
		if n := len(page.Items); n == 0 != (filter == "aggregate=payment" || filter == "correlation_id=nobodys") {
			t.Errorf("%s: %d events up to %d", filter, n, head)
		}
	}
}

func TestAHeartbeatBreaksTheSilenceAndMovesThePosition(t *testing.T) {
	t.Parallel()
	r := start(t, "--stream-heartbeat=50ms")
	c := r.follow(eventStream+"?name=user.deleted", live)
	r.append(someone(5)...)
	defer time.AfterFunc(patience, c.leave).Stop()
	for beats := 0; c.lastID < 5 || beats < 3; beats++ {
		m, comment, err := c.block()
		if err != nil || m.data != "" || comment != "heartbeat" {
			t.Fatalf("block %+v with comment %q: %v", m, comment, err)
		}
	}
}

func TestWhereToResumeIsChecked(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.append(someone(3)...)
	r.follow("/v1/users/stream", 0).run(3) // so that the view is there, too
	for _, path := range []string{eventStream, "/v1/users/stream"} {
		for _, c := range []struct {
			query, lastEventID string
			first              int64 // of the messages; 0 is a refusal
		}{
			{"", "1", 2},
			{"?after=1", "", 2},
			{"?after=0", "", 1},
			{"?after=0", "2", 3}, // the header wins: an EventSource repeats its URL
			{"?after=x", "2", 0},
			{"?after=-1", "", 0},
			{"?after=1.5", "", 0},
			{"?after=99999999999999999999", "", 0},
			{"?after=1&after=2", "", 0},
			{"?position=1", "", 0},
			{"", "x", 0},
			{"", "-1", 0},
			{"?after=4", "", 0}, // nobody was ever there
			{"", "4", 0},
		} {
			follower, err := r.tryFollow(path+c.query, c.lastEventID)
			var refused *refusal
			switch {
			case err == nil && c.first > 0:
				if m := follower.want(); m.id != c.first {
					t.Errorf("%s%s with Last-Event-ID %q starts at %d", path, c.query, c.lastEventID, m.id)
				}
				follower.close()
			case !errors.As(err, &refused) || refused.status != http.StatusBadRequest || refused.code != "bad-parameter" || c.first > 0:
				t.Errorf("%s%s with Last-Event-ID %q: %v", path, c.query, c.lastEventID, err)
			}
		}
	}
}

func TestFiveHundredClientsResumeAtOnce(t *testing.T) {
	t.Parallel()
	const clients, before, after = 500, 300, 50
	r := start(t)
	r.append(someone(before)...)
	var all errgroup.Group
	for i := range int64(clients) {
		all.Go(func() error {
			last := i % before
			c, err := r.tryFollow(eventStream, strconv.FormatInt(last, 10))
			if err != nil {
				return err
			}
			defer c.close()
			defer time.AfterFunc(patience, c.leave).Stop()
			for ; last < before+after; last++ {
				if m, err := c.next(); err != nil || m.id != last+1 {
					return fmt.Errorf("got %d after %d: %w", m.id, last, err)
				}
			}
			return nil
		})
	}
	for range after / 10 {
		r.append(someone(10)...)
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestOneStreamMoreThanTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, "--stream-clients=2")
	first := r.follow(eventStream, live)
	r.follow("/v1/users/stream", live)
	_, err := r.tryFollow(eventStream, "")
	var refused *refusal
	if !errors.As(err, &refused) || refused.status != http.StatusServiceUnavailable || refused.code != "unavailable" ||
		refused.header.Get("Retry-After") == "" {
		t.Fatalf("the third stream: %v", err)
	}
	first.close()
	r.eventually("a place is free again", func() bool {
		again, err := r.tryFollow(eventStream, "")
		if err == nil {
			again.close()
		}
		return err == nil
	})
}

func TestAStoppingServerSaysGoodbye(t *testing.T) {
	t.Parallel()
	r := start(t)
	clients := []*client{r.follow(eventStream, live), r.follow("/v1/users/stream", live)}
	r.stall(t)
	r.append(someone(1)...)
	took := r.shutdown()
	for _, c := range clients {
		c.retry = 0
		if err := c.end(); err != nil || c.retry == 0 {
			t.Errorf("the stream ends with %v and retry %s", err, c.retry)
		}
	}
	if took > 5*time.Second {
		t.Errorf("it took %s to stop with a client that does not read", took)
	}
}

func TestTheSpecificationHasTheStreams(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, text := r.get("/openapi.json")
	var spec struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name string
				Ref  string `json:"$ref"` // of those that every route has
			}
			Responses map[string]struct{ Content map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		eventStream: "Last-Event-ID after aggregate aggregate_id correlation_id name", rowStream: "Last-Event-ID after",
	} {
		op := spec.Paths[path]["get"]
		var names []string
		for _, p := range op.Parameters {
			if p.Ref == "" {
				names = append(names, p.Name)
			}
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want || op.Responses["200"].Content["text/event-stream"] == nil {
			t.Errorf("%s has the parameters %q and answers %v", path, got, op.Responses["200"])
		}
	}
}
