package tail_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

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

// vain is how often a source is read that has nothing new.
const vain = 10 * time.Millisecond

// take reads until the position and fails unless the messages are a run.
func take(t *testing.T, f *tail.Follower, last, upTo int64) {
	t.Helper()
	if _, err := takeRun(t.Context(), f, last, upTo); err != nil {
		t.Fatal(err)
	}
}

// takeRun is take for other goroutines. It gives the last position.
func takeRun(ctx context.Context, f *tail.Follower, last, upTo int64) (int64, error) {
	for last < upTo {
		messages, err := f.Next(ctx, patience)
		if err != nil || len(messages) == 0 {
			return last, fmt.Errorf("nothing after %d: %w", last, err)
		}
		for _, m := range messages {
			if m.Position != last+1 {
				return last, fmt.Errorf("got %d after %d", m.Position, last)
			}
			last = m.Position
		}
	}
	return last, nil
}

func TestNothingIsReadWhileNobodyFollows(t *testing.T) {
	t.Parallel()
	n := newNumbers(10)
	b := broadcast(t, n, 4, new(clock))
	f := b.Follow(10, tail.Filter{}, nobody)
	n.grow(1)
	take(t, f, 10, 11)
	f.Close()
	before := n.reads.Load()
	tick := time.NewTicker(2 * vain)
	defer tick.Stop()
	for range 10 {
		n.grow(1)
		<-tick.C
	}
	if more := n.reads.Load() - before; more > 1 { // one may have been under way
		t.Errorf("%d reads for nobody", more)
	}
	again := b.Follow(11, tail.Filter{}, nobody)
	defer again.Close()
	take(t, again, 11, 21)
}

// liar is a source that says all the time that there is more.
type liar struct{ *numbers }

func (liar) Wait(context.Context, int64) {}

func TestHintsThatLeadToNothingHardlyCauseReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNumbers(10)
		b := broadcast(t, liar{n}, 4, new(clock))
		f := b.Follow(10, tail.Filter{}, nobody)
		defer f.Close()
		const minute = time.Minute // of the bubble's own clock
		if messages, err := f.Next(t.Context(), minute); err != nil || len(messages) > 0 {
			t.Fatal(messages, err)
		}
		if reads := n.reads.Load(); reads > 200 {
			t.Errorf("%d reads in a minute", reads)
		}
		// What comes all the same is read soon, and is no reason to be slow later.
		for position := int64(11); position <= 13; position++ {
			began := time.Now()
			n.grow(1)
			take(t, f, position-1, position)
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("position %d took %s", position, took)
			}
		}
	})
}

func TestAnIdleSourceIsReadAtOnceWhenItGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNumbers(10)
		b := broadcast(t, n, 4, new(clock))
		f := b.Follow(10, tail.Filter{}, nobody)
		defer f.Close()
		for range 100 { // the timer behind the notifications
			if _, err := f.Next(t.Context(), time.Second); err != nil {
				t.Fatal(err)
			}
			n.grow(0)
		}
		for position := int64(11); position <= 20; position++ {
			began := time.Now()
			n.grow(1)
			take(t, f, position-1, position)
			if took := time.Since(began); took > vain {
				t.Errorf("position %d took %s", position, took)
			}
		}
	})
}

// Wherever a follower begins, the database and what is kept in memory must
// meet without a gap and without an overlap.
func TestFromEveryPositionTheRestIsOneRun(t *testing.T) {
	t.Parallel()
	const end, buffer = 50, 8
	n := newNumbers(0)
	b := broadcast(t, n, buffer, new(clock))
	first := b.Follow(0, tail.Filter{}, nobody)
	defer first.Close()
	for last := range int64(end) {
		n.grow(1)
		take(t, first, last, last+1)
	}
	for after := range int64(end) {
		f := b.Follow(after, tail.Filter{}, nobody)
		take(t, f, after, end)
		if more, err := f.Next(t.Context(), time.Nanosecond); len(more) > 0 || err != nil {
			t.Errorf("after %d: %d messages too many, %v", after, len(more), err)
		}
		f.Close()
	}
}

func TestFollowersThatComeAndGoAtAnyTimeMissNothing(t *testing.T) {
	t.Parallel()
	const upTo, buffer = 5_000, 8
	n := newNumbers(0)
	b := broadcast(t, n, buffer, new(clock))
	var furthest atomic.Int64 // of the followers; the source stays near it
	all, ctx := errgroup.WithContext(t.Context())
	for seed := range uint64(20) {
		all.Go(func() (err error) {
			random := rand.New(rand.NewPCG(seed, 7))
			for last := int64(0); last < upTo && err == nil; {
				f := b.Follow(last, tail.Filter{}, nobody)
				for range random.IntN(200) + 1 {
					if last, err = takeRun(ctx, f, last, min(last+1, upTo)); err != nil {
						break
					}
					if far := furthest.Load(); last > far {
						furthest.CompareAndSwap(far, last)
					}
				}
				f.Close()
			}
			return err
		})
	}
	random := rand.New(rand.NewPCG(8, 9))
	for n.end.Load() < upTo && ctx.Err() == nil {
		if n.end.Load() < furthest.Load()+3*buffer {
			n.grow(min(random.Int64N(2*buffer), upTo-n.end.Load()))
		}
		runtime.Gosched()
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
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
