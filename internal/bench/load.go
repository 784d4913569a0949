package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"onepg/internal/pause"
)

// load is an order to a load process: send this request over and over on so
// many connections, and measure.
type load struct {
	Address     string
	Connections int
	Request     []byte
	// Marks are places in Request that change with each request.
	Marks []mark
	// Status is the only one that is no failure.
	Status int
	// Warmup comes before Duration and is not measured.
	Warmup, Duration time.Duration
	// Rate is in requests per second over all connections; 0 sends each
	// request as soon as the one before is answered.
	Rate float64
	// Watch, if not empty, is sent after each answer and has to be answered 200,
	// and what is measured is the time this took. The id at WatchID in Request
	// goes to WatchAt in it, where that is not 0.
	Watch            []byte
	WatchID, WatchAt int
	// Stream means that Request is answered by a stream of events; see follow.
	Stream bool
	// Count, if not 0, is how many requests are sent in all, however long it
	// takes. Their numbers are First+1, First+2, … instead of any.
	First, Count int
}

// mark is a place in a request that is new each time: a UUIDv7 or, when Keys is
// not 0, an eight-digit number, the same in the whole request: any from 1 to
// Keys, or the next one of a load that counts.
type mark struct{ At, Keys int }

const uuidLength = 36

// loadResult is what came of a load.
type loadResult struct {
	Requests int
	Elapsed  time.Duration
	Latency  latency
}

// perSecond is the rate at which requests were answered.
func (r loadResult) perSecond() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

// serveLoads is the life of a load process: it takes lists of loads, runs those
// of one list together, and answers their results in order. It ends with its
// orders, also in the middle of a load.
func serveLoads(ctx context.Context, in *json.Decoder, out *json.Encoder) error {
	ctx, end := context.WithCancelCause(ctx)
	orders := make(chan []load)
	go func() { end(readOrders(ctx, in, orders)) }()
	for {
		select {
		case loads := <-orders:
			results, err := runLoads(ctx, loads)
			if err == nil {
				err = out.Encode(results)
			}
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("load: %w", err)
			}
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, io.EOF) {
				return fmt.Errorf("read the orders: %w", cause)
			}
			return nil
		}
	}
}

// readOrders passes the orders on, and says why there are no more.
func readOrders(ctx context.Context, in *json.Decoder, orders chan<- []load) error {
	for {
		var loads []load
		if err := in.Decode(&loads); err != nil {
			return err //nolint:wrapcheck // io.EOF is the good end
		}
		select {
		case orders <- loads:
		case <-ctx.Done():
			return ctx.Err() //nolint:wrapcheck // has a cause already
		}
	}
}

// runLoads runs the loads together.
func runLoads(ctx context.Context, loads []load) ([]loadResult, error) {
	results := make([]loadResult, len(loads))
	running, ctx := errgroup.WithContext(ctx)
	for i := range loads {
		running.Go(func() (err error) {
			results[i], err = loads[i].run(ctx)
			return err
		})
	}
	return results, running.Wait() //nolint:wrapcheck // says what it is about
}

// run opens the connections, lets all send until the time is over, and gathers.
func (l load) run(ctx context.Context) (loadResult, error) {
	clients := make([]*client, l.Connections)
	defer func() {
		for _, c := range clients {
			if c != nil {
				c.conn.close()
			}
		}
	}()
	sent := new(atomic.Int64)
	for i := range clients {
		c, err := dial(ctx, l.Address)
		if err != nil {
			return loadResult{}, err
		}
		clients[i] = newClient(c, l, i)
		clients[i].sent = sent
	}
	begin := now().Add(l.Warmup)
	running, ctx := errgroup.WithContext(ctx)
	for _, c := range clients {
		running.Go(func() error { return c.run(ctx, begin) })
	}
	if err := running.Wait(); err != nil {
		return loadResult{}, err //nolint:wrapcheck // says what it is about
	}
	var took []time.Duration
	for _, c := range clients {
		took = append(took, c.took...)
	}
	elapsed := l.Duration
	if l.Count > 0 {
		elapsed = now().Sub(begin)
	}
	return loadResult{Requests: len(took), Elapsed: elapsed, Latency: latencyOf(took)}, nil
}

// client is one connection's share of a load.
type client struct {
	load

	conn   *conn
	random *rand.Rand
	sent   *atomic.Int64 // requests of the whole load, when it counts
	due    time.Time     // of the next request, when there is a rate
	took   []time.Duration
}

func newClient(c *conn, l load, index int) *client {
	l.Request, l.Watch = slices.Clone(l.Request), slices.Clone(l.Watch)
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // ids for a benchmark
	// Why not all at once: at a steady rate the connections take turns.
	due := now().Add(time.Duration(float64(index) * l.interval()))
	return &client{load: l, conn: c, random: random, due: due}
}

// interval is the time between two requests of all connections, in nanoseconds.
func (l load) interval() float64 {
	if l.Rate == 0 {
		return 0
	}
	return float64(time.Second) / l.Rate
}

// run sends until the measured time is over, or all that is to be sent. An
// answer counts when it comes within that time.
func (c *client) run(ctx context.Context, begin time.Time) error {
	end := begin.Add(c.Duration)
	if err := c.conn.socket.SetDeadline(end.Add(answerTimeout)); err != nil {
		return fmt.Errorf("limit the wait for answers: %w", err)
	}
	if c.Stream {
		return c.follow(begin, end)
	}
	for ctx.Err() == nil {
		start := c.next(ctx)
		number, more := c.number(start, end)
		if !more {
			return nil
		}
		c.stamp(number)
		took, err := c.once(start)
		if err != nil {
			return err
		}
		if done := now(); c.Count > 0 || done.After(begin) && done.Before(end) {
			c.took = append(c.took, took)
		}
	}
	return fmt.Errorf("interrupted: %w", context.Cause(ctx))
}

// next waits until the next request is due and gives that time. A schedule does
// not slip when an answer is late: the requests that should have been sent
// meanwhile count as slow, as they would be for users, who do not wait for each
// other.
func (c *client) next(ctx context.Context) time.Time {
	if c.Rate == 0 {
		return now()
	}
	due := c.due
	c.due = due.Add(time.Duration(c.interval() * float64(c.Connections)))
	pause.For(ctx, due.Sub(now()))
	return due
}

// once sends one request and gives how long it, or the watch after it, took.
func (c *client) once(start time.Time) (time.Duration, error) {
	status, err := c.conn.do(c.Request)
	if err != nil {
		return 0, err
	}
	if status != c.Status {
		return 0, fmt.Errorf("the server under test answers %d instead of %d: %s", status, c.Status, c.conn.buffer)
	}
	if len(c.Watch) > 0 {
		return c.watch()
	}
	return now().Sub(start), nil
}

// number gives the next request's, counted from 0, and whether there is to be one.
func (c *client) number(start, end time.Time) (n int, more bool) {
	if c.Count > 0 {
		n = int(c.sent.Add(1))
		return c.First + n - 1, n <= c.Count
	}
	return c.random.Int(), start.Before(end)
}

// stamp makes the request a new one.
func (c *client) stamp(number int) {
	for _, m := range c.Marks {
		at := c.Request[m.At:]
		if m.Keys > 0 {
			key := strconv.Itoa(1 + number%m.Keys)
			copy(at, "00000000"[:8-len(key)])
			copy(at[8-len(key):], key)
			continue
		}
		stampID(at[:uuidLength], now(), c.random)
	}
	if c.WatchAt > 0 {
		copy(c.Watch[c.WatchAt:], c.Request[c.WatchID:c.WatchID+uuidLength])
	}
}

// watch sends the request that is answered when the row is there, and gives the
// time that took.
func (c *client) watch() (time.Duration, error) {
	start := now()
	status, err := c.conn.do(c.Watch)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the server under test answers %d while a row is awaited: %s", status, c.conn.buffer)
	}
	return now().Sub(start), err
}

// now is the benchmark's clock.
func now() time.Time { return time.Now() } //nolint:forbidigo // measuring time is what this package is for
