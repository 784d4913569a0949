// Package tail is what live streams are made of: one reader per stream and
// replica that follows the end of the log (or of a view), and hands what it
// reads to any number of clients.
//
//	                      Wait, Read                publish
//	log or view (Source) ------------> Broadcast ------------> recent, shared by all
//	       |                                                     |
//	       |  Read, by turns, while behind recent                |  Next
//	       +------------------------------> Follower <-----------+
//	                                            |
//	                                            v  frames, as they go over the wire
//
// A follower is a position and nothing else. What comes after it is taken from
// recent, the last messages that were read, or, where recent does not reach
// back that far, from the database in bounded pages. Both say the same, because
// what was read once never changes. So there is no moment of handing over from
// one to the other in which a message could be lost or come twice.
//
// # Guarantees
//
// Each follower gets every message that its filter selects, in the order of
// positions, once. A message is decoded and encoded once, however many take
// it. Nothing is read while nobody follows. Memory is bounded by the messages
// in recent and, for each follower, by the page it is working on.
//
// # Slow clients
//
// recent has no reader to wait for: whoever is slower than it goes on from the
// database. Few read there at a time, so that they leave connections to the
// rest of the program. A follower that has not come back for more for some
// seconds while recent has passed it is dropped: it holds a connection and what
// is buffered in it for nothing. It knows its position and can resume.
//
// # Failures
//
// While the database is away, followers wait; then they go on where they were.
package tail

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"onepg/internal/pause"
)

// Source is an ordered sequence of messages that only grows at its end.
type Source interface {
	// End is the last position there is.
	End(ctx context.Context) (int64, error)
	// Read gives the messages of a stretch that its filter selects.
	Read(ctx context.Context, s Stretch) (Page, error)
	// Wait returns when there may be something after the position, or ctx ends.
	Wait(ctx context.Context, position int64)
}

// Stretch is a part of a source: the positions in (After, UpTo]. An UpTo of 0
// is its end.
type Stretch struct {
	After, UpTo int64
	Filter      Filter
	// Limit is how many messages are wanted at most.
	Limit int
}

// Page is what was read of a stretch: every message that the filter selects in
// (After, UpTo], where UpTo may be short of what was asked for.
type Page struct {
	Messages []*Message
	UpTo     int64
	// More is true when there is probably more to read at once.
	More bool
}

// defaultBuffer is how many messages are kept for followers to take.
const defaultBuffer = 256

const (
	// catchUpReads is how many followers of a stream read from the database at
	// a time. Why so few: after a restart all clients resume at once, and the
	// same pool serves the API.
	catchUpReads = 2
	// slowAfter is how long a follower may work on what it was given before
	// being overrun counts as slow. Why not at once: recent is overrun by one
	// large batch, and then the fastest client is behind for a moment.
	slowAfter = 5 * time.Second
	// vainInterval paces reads that find nothing, and after vainReads of them in
	// a row vainPause does. Why there are two: between real messages a hint now
	// and then comes too late to find anything, but whoever may NOTIFY could keep
	// us reading with wrong ones. An idle log is looked at once a second, which
	// the longer pause allows: what comes then is not held up.
	vainInterval = 10 * time.Millisecond
	vainReads    = 10
	vainPause    = 500 * time.Millisecond
	// retryInterval paces reads that fail.
	retryInterval = time.Second
)

// ErrOverrun is why a follower is dropped that does not take what it follows.
var ErrOverrun = errors.New("the client does not read as fast as messages come")

// Options are what a Broadcast needs.
type Options struct {
	// Name stands for the stream in metrics and logs.
	Name   string
	Source Source
	// Buffer is how many messages are kept for followers to take; 0 means
	// defaultBuffer. It is also the size of a page.
	Buffer  int
	Clock   func() time.Time
	Metrics *Metrics
	Logger  *slog.Logger
}

// Broadcast reads a source once for all its followers. Run it once; followers
// may come and go before, meanwhile and after.
type Broadcast struct {
	source  Source
	buffer  int
	clock   func() time.Time
	metrics streamMetrics
	logger  *slog.Logger
	turns   chan struct{} // holds a token for each follower that reads
	arrived chan struct{} // receives when there is a first follower
	vain    *rate.Limiter // of reads that find nothing; only Run uses it

	mu        sync.Mutex
	followers map[*Follower]struct{}
	pause     context.CancelFunc // stops reading when the last follower leaves
	position  int64              // what was read last
	from      int64              // recent holds every message of (from, position]
	recent    []*Message
	moved     chan struct{} // closed and replaced when position grows
}

// New makes a Broadcast.
func New(o Options) *Broadcast {
	if o.Buffer <= 0 {
		o.Buffer = defaultBuffer
	}
	return &Broadcast{
		source: o.Source, buffer: o.Buffer, clock: o.Clock, metrics: o.Metrics.of(o.Name),
		logger:    o.Logger.With(slog.String("stream", o.Name)),
		turns:     make(chan struct{}, catchUpReads),
		arrived:   make(chan struct{}, 1),
		vain:      newVain(),
		followers: make(map[*Follower]struct{}),
		moved:     make(chan struct{}),
	}
}

// End is the last position there is to follow: where a client begins that
// wants only what is new.
func (b *Broadcast) End(ctx context.Context) (int64, error) {
	return b.source.End(ctx)
}

// Run reads for the followers until ctx ends, and then returns nil. No fault of
// the database ends it earlier.
func (b *Broadcast) Run(ctx context.Context) error {
	for {
		select {
		case <-b.arrived:
		case <-ctx.Done():
			return nil
		}
		attended, end := context.WithCancel(ctx)
		if b.attend(end) {
			b.read(attended)
		}
		end()
	}
}

// attend reports whether anybody follows, and then has end called when the
// last one leaves.
func (b *Broadcast) attend(end context.CancelFunc) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pause = end
	return len(b.followers) > 0
}

// read publishes what comes until ctx ends.
func (b *Broadcast) read(ctx context.Context) {
	step := b.start
	for ctx.Err() == nil {
		before := b.at()
		more, err := step(ctx)
		switch {
		case err == nil:
			step = b.advance
			if !more {
				b.wait(ctx, before)
			}
		case ctx.Err() == nil:
			b.logger.WarnContext(ctx, "stream cannot be read, trying again",
				slog.Duration("after", retryInterval), slog.Any("error", err))
			pause.For(ctx, retryInterval)
		}
	}
}

// wait returns when there may be more. After a read that found nothing it takes
// a moment at least: what wakes us are hints, and they can be wrong.
func (b *Broadcast) wait(ctx context.Context, before int64) {
	at := b.at()
	moment := time.NewTimer(vainInterval)
	defer moment.Stop()
	b.source.Wait(ctx, at)
	if at > before {
		b.vain = newVain()
		return
	}
	select {
	case <-moment.C:
	case <-ctx.Done():
	}
	_ = b.vain.Wait(ctx) // it fails only when ctx ends, which the caller sees
}

func newVain() *rate.Limiter { return rate.NewLimiter(rate.Every(vainPause), vainReads) }

// start begins one page before the end, so that clients which a restart cut off
// and which all come back at once find in recent what they missed. What else
// went by while nobody followed is read by those who ask for it.
func (b *Broadcast) start(ctx context.Context) (more bool, err error) {
	end, err := b.source.End(ctx)
	if err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if begin := end - int64(b.buffer); begin > b.position {
		b.position, b.from, b.recent = begin, begin, nil
		b.move()
	}
	return true, nil
}

// advance reads one page and publishes it.
func (b *Broadcast) advance(ctx context.Context) (more bool, err error) {
	after := b.at()
	page, err := b.source.Read(ctx, Stretch{After: after, Limit: b.buffer})
	if err != nil {
		return false, err
	}
	if page.UpTo > after {
		b.publish(page)
	}
	return page.More, nil
}

// publish makes a page known to all followers. It waits for none of them.
func (b *Broadcast) publish(page Page) {
	now := b.clock()
	b.metrics.published(page.Messages, now)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent = append(b.recent, page.Messages...)
	if over := len(b.recent) - b.buffer; over > 0 {
		b.from = b.recent[over-1].Position
		// Followers hold parts of the slice, so it is cut and not shifted.
		b.recent = b.recent[over:]
	}
	b.position = page.UpTo
	b.move()
	for f := range b.followers {
		if f.position < b.from && !f.since.IsZero() && now.Sub(f.since) > slowAfter {
			b.metrics.overrun.Inc()
			f.since = time.Time{} // once is enough
			f.drop(ErrOverrun)
		}
	}
}

// move wakes all followers; b.mu is held.
func (b *Broadcast) move() {
	close(b.moved)
	b.moved = make(chan struct{})
}

func (b *Broadcast) at() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.position
}
