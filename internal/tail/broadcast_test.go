package tail_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"onepg/internal/tail"
)

// numbers is a Source of which nothing is interesting but its positions.
type numbers struct {
	end   atomic.Int64
	reads atomic.Int64
	grown chan struct{}
}

func newNumbers(end int64) *numbers {
	n := &numbers{grown: make(chan struct{}, 1)}
	n.end.Store(end)
	return n
}

func (n *numbers) grow(by int64) {
	n.end.Add(by)
	select {
	case n.grown <- struct{}{}:
	default:
	}
}

func (n *numbers) End(context.Context) (int64, error) {
	n.reads.Add(1)
	return n.end.Load(), nil
}

func (n *numbers) Wait(ctx context.Context, _ int64) {
	select {
	case <-n.grown:
	case <-ctx.Done():
	}
}

func (n *numbers) Read(_ context.Context, s tail.Stretch) (tail.Page, error) {
	n.reads.Add(1)
	upTo := n.end.Load()
	if s.UpTo > 0 {
		upTo = min(upTo, s.UpTo)
	}
	page := tail.Page{UpTo: min(upTo, s.After+int64(s.Limit))}
	page.More = page.UpTo < upTo
	for p := s.After + 1; p <= page.UpTo; p++ {
		page.Messages = append(page.Messages, &tail.Message{Position: p, Frame: []byte("data: x\n\n")})
	}
	return page, nil
}

// clock stands still until it is moved.
type clock struct{ now atomic.Int64 }

func (c *clock) Now() time.Time           { return time.Unix(0, c.now.Load()) }
func (c *clock) advance(by time.Duration) { c.now.Add(int64(by)) }

// broadcast runs one until the test ends.
func broadcast(t *testing.T, source tail.Source, buffer int, c *clock) *tail.Broadcast {
	t.Helper()
	b := tail.New(tail.Options{
		Name: "numbers", Source: source, Buffer: buffer, Clock: c.Now, Metrics: tail.NewMetrics(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

func nobody(error) {}

// take reads until the position and fails unless the messages are a run.
func take(t *testing.T, f *tail.Follower, last, upTo int64) {
	t.Helper()
	for last < upTo {
		messages, err := f.Next(t.Context(), patience)
		if err != nil || len(messages) == 0 {
			t.Fatalf("nothing after %d: %v", last, err)
		}
		for _, m := range messages {
			if m.Position != last+1 {
				t.Fatalf("got %d after %d", m.Position, last)
			}
			last = m.Position
		}
	}
}

func TestNothingIsReadWhileNobodyFollows(t *testing.T) {
	t.Parallel()
	n := newNumbers(10)
	b := broadcast(t, n, 4, new(clock))
	for range 3 {
		f := b.Follow(n.end.Load(), tail.Filter{}, nobody)
		n.grow(1)
		take(t, f, n.end.Load()-1, n.end.Load())
		f.Close()
		// A read that had begun may still end; a look at the end would be next.
		before := n.reads.Load()
		for range 100 {
			n.grow(1)
		}
		if more := n.reads.Load() - before; more > 2 {
			t.Errorf("%d reads for nobody", more)
		}
	}
}

func TestFollowersThatComeAndGoAtAnyTimeMissNothing(t *testing.T) {
	t.Parallel()
	n := newNumbers(0)
	b := broadcast(t, n, 8, new(clock))
	const upTo = 20_000
	var all sync.WaitGroup
	for seed := range uint64(20) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, 7))
			for last := int64(0); last < upTo; {
				f := b.Follow(last, tail.Filter{}, nobody)
				until := min(upTo, last+random.Int64N(2000)+1)
				take(t, f, last, until)
				last = f.Position()
				f.Close()
			}
		})
	}
	random := rand.New(rand.NewPCG(8, 9))
	for n.end.Load() < upTo {
		n.grow(min(random.Int64N(20), upTo-n.end.Load()))
	}
	n.grow(0)
	all.Wait()
}

func TestAFollowerThatIsOverrunWhileItWritesIsDropped(t *testing.T) {
	t.Parallel()
	n, c := newNumbers(0), new(clock)
	b := broadcast(t, n, 4, c)
	dropped := make(chan error, 1)
	slow := b.Follow(0, tail.Filter{}, func(why error) { dropped <- why })
	defer slow.Close()
	quick := b.Follow(0, tail.Filter{}, func(error) { t.Error("the quick one is dropped") })
	defer quick.Close()

	n.grow(1)
	take(t, slow, 0, 1) // and does not come back
	take(t, quick, 0, 1)
	n.grow(20)
	take(t, quick, 1, 21)
	select {
	case <-dropped:
		t.Fatal("dropped for being hit by one large batch")
	default:
	}
	c.advance(time.Minute)
	go n.grow(1)
	take(t, quick, 21, 22)
	if why := <-dropped; !errors.Is(why, tail.ErrOverrun) {
		t.Errorf("dropped because of %v", why)
	}
}

func TestAFollowerThatIsOverrunWhileItWaitsIsNotDropped(t *testing.T) {
	t.Parallel()
	n, c := newNumbers(100), new(clock)
	b := broadcast(t, n, 4, c)
	f := b.Follow(100, tail.Filter{}, func(error) { t.Error("it is not slow") })
	defer f.Close()
	c.advance(time.Hour)
	n.grow(1000)
	take(t, f, 100, 1100)
}
