// Package listener turns NOTIFY into wakes. It is step 6 of an event's way:
// the trigger on the log announces what was appended, and whoever waits for
// new events (aggregators, event streams) is woken to read the log.
//
//	down --- connect, LISTEN ---> probing --- the probe arrives ---> listening
//	 ^                            |     ^                                |
//	 |     the server answers, but|     |after 30 s                      |
//	 |        no probe ever comes v     |                                |
//	 |                            polling                                |
//	 +--- any error, or silence; tried again within 2 s -----------------+
//
// A notification is a hint (D5). What is guaranteed is that a subscriber is
// woken after an append: at once while listening, after every (re)connect for
// what went by in between, and every second in any case. What is not
// guaranteed is how often; readers must not mind being woken for nothing.
//
// LISTEN that is accepted proves little: a pooler in transaction mode accepts
// it, delivers nothing to us, and leaves the subscription with a connection to
// the server that others get next. So nothing is listened to where connections
// are shared out ([IsShared]), and elsewhere a second, short connection notifies
// a channel whose name only this listener knows: nothing counts as listening
// before that arrives. When it does not, the timer alone does the work and
// Status says polling.
//
// It fails by being late, never by being wrong: whatever the database does is
// reported by Status and the log, and no error leaves it. Garbage in the
// channel is counted and dropped.
package listener

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/driver/pgdriver"

	"onepg/internal/pause"
	"onepg/internal/postgres"
)

const (
	// Why: with the longest back-off and one more connect, service is normal
	// within 10 s of the end of any fault.
	defaultInterval = time.Second
	connectTimeout  = 3 * time.Second
	silence         = 2 * time.Second
	minBackoff      = 100 * time.Millisecond
	maxBackoff      = 2 * time.Second

	// Why so rare: a pooler stays a pooler, and the timer does the work.
	pollingRetry = 30 * time.Second
)

// Mode says how subscribers learn of new events.
type Mode string

// The modes. In each of them the timer wakes too.
const (
	Down      Mode = "down"      // no connection; the timer alone
	Polling   Mode = "polling"   // connected, but nothing is delivered; the timer alone
	Listening Mode = "listening" // the subscription is proved
)

// Status is the listener's health, for metrics and readiness.
type Status struct {
	Mode          Mode
	Reconnects    uint64    // how often Listening was reached again
	Notifications uint64    // payloads delivered
	Ignored       uint64    // payloads on EventsCreated that the trigger cannot have written
	LastHeard     time.Time // last message of the server, signs of life included; zero if none yet
}

// Options configures a Listener. Only DB is required.
type Options struct {
	// DB is a pool for the listener alone, over pgdriver and straight to the
	// server where the others go through a pooler. Two connections suffice: one
	// that listens and, for a moment, one that sends the probe.
	DB *bun.DB
	// Channels are those to listen to beside EventsCreated.
	Channels []string
	// Interval is the timer's; the default is one second.
	Interval time.Duration
	// Logger hears of every change of mode once. The default is silent.
	Logger *slog.Logger
}

// A Listener wakes its subscribers when events may have been appended. Make
// one with New and start it with Run; all other methods may be called before,
// during and after Run, from any goroutine.
type Listener struct {
	db           *bun.DB
	channels     []string
	interval     time.Duration
	pollingRetry time.Duration
	log          *slog.Logger

	mu            sync.Mutex
	status        Status
	announced     Mode // the mode last logged; empty before the first
	sessions      uint64
	subscriptions map[*Subscription]struct{}
	feeds         map[*Feed]struct{}
}

// New prepares a listener without connecting.
func New(options Options) *Listener {
	return &Listener{
		db:            options.DB,
		channels:      append([]string{EventsCreated}, options.Channels...),
		interval:      cmp.Or(options.Interval, defaultInterval),
		pollingRetry:  pollingRetry,
		log:           cmp.Or(options.Logger, slog.New(slog.DiscardHandler)),
		status:        Status{Mode: Down},
		subscriptions: make(map[*Subscription]struct{}),
		feeds:         make(map[*Feed]struct{}),
	}
}

// Run listens until ctx is done and then returns nil; no fault of the database
// ends it earlier. It returns at once, or within three seconds when a server
// is silent in the middle of connecting, and leaves no connection and no
// goroutine behind. One Run at a time.
func (l *Listener) Run(ctx context.Context) error {
	var timer sync.WaitGroup
	timer.Go(func() { l.runTimer(ctx) })
	defer timer.Wait()
	defer l.stopped()

	for attempt := 0; ; attempt++ {
		began := now()
		err := l.session(ctx)
		// Why not as soon as it listened: a server that ends every session at
		// once must not be connected to without pause.
		if now().Sub(began) > maxBackoff {
			attempt = 0
		}
		if ctx.Err() != nil || !pause.For(ctx, l.failed(ctx, err, attempt)) {
			return nil
		}
	}
}

// runTimer wakes everybody every interval: with every notification lost,
// readers are only later.
func (l *Listener) runTimer(ctx context.Context) {
	for pause.For(ctx, l.interval) {
		l.mu.Lock()
		l.wake()
		if l.status.Mode != Listening {
			l.markMissed()
		}
		l.mu.Unlock()
	}
}

// session listens on one connection and returns why it ended.
func (l *Listener) session(ctx context.Context) error {
	switch shared, err := IsShared(ctx, l.db); {
	case err != nil:
		return err
	case shared:
		return fmt.Errorf("%w: a pooler in transaction mode is between; APP_LISTEN_URL can go past it", errDeaf)
	}
	return dedicated(ctx, l.db, func(cn *pgdriver.Conn) error {
		c := newConn(cn.Conn(), silence)
		// Why a channel of its own: its name is the secret that proves the probe.
		probe := "onepg:probe:" + uuid.NewString()
		if err := c.listen(append(slices.Clone(l.channels), probe)); err != nil {
			return err
		}
		if err := l.sendProbe(ctx, probe); err != nil {
			return err
		}
		return l.follow(ctx, c, probe)
	})
}

// sendProbe notifies the channel from a second connection. Why not from the
// first: a pooler would hand us the notification together with the answer, as
// it would not hand us anybody else's.
func (l *Listener) sendProbe(ctx context.Context, channel string) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return dedicated(ctx, l.db, func(cn *pgdriver.Conn) error {
		args := []driver.NamedValue{{Ordinal: 1, Value: channel}}
		if _, err := cn.ExecContext(ctx, "SELECT pg_notify($1, '')", args); err != nil {
			return fmt.Errorf("send probe: %w", err)
		}
		return nil
	})
}

// dedicated runs f with a connection that is closed after f, or when ctx ends:
// a cancelled context does not interrupt a read of pgdriver. Why it never goes
// back to the pool: a session that listens is of no use to others, and an idle
// one may be half-open when it is wanted next.
func dedicated(ctx context.Context, db *bun.DB, f func(*pgdriver.Conn) error) error {
	limited, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	pooled, err := db.DB.Conn(limited)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = pooled.Close() }()
	return postgres.Raw(pooled, func(cn *pgdriver.Conn) error {
		closeConn := func() { _ = cn.Close() }
		defer closeConn()
		defer context.AfterFunc(ctx, closeConn)()
		return f(cn)
	})
}

// follow delivers what arrives until the connection ends. It returns errDeaf
// when the server gives signs of life but the probe does not come.
func (l *Listener) follow(ctx context.Context, c *conn, probe string) error {
	proved, patience := false, c.deadline()
	for {
		m, err := c.receive()
		if err != nil {
			return err
		}
		l.heard()
		switch m.kind {
		case kindError:
			return m.failure()
		case kindReady:
			if !proved && now().After(patience) {
				return errDeaf
			}
		case kindNotification:
			channel, payload, err := m.notification()
			if err != nil {
				return err
			}
			if channel == probe {
				proved = true
				l.proved(ctx)
				continue
			}
			l.deliver(channel, payload)
		}
	}
}

// heard notes a sign of life.
func (l *Listener) heard() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.LastHeard = now()
}

// proved begins to count as listening. Everybody reads once: what was appended
// before LISTEN held was announced to nobody.
func (l *Listener) proved(ctx context.Context) {
	l.mu.Lock()
	l.sessions++
	l.status.Mode, l.announced = Listening, Listening
	l.wake()
	l.markMissed()
	l.mu.Unlock()
	l.log.InfoContext(ctx, "listening for new events", slog.Any("channels", l.channels))
}

// failed notes why a session ended and says how long to wait before the next.
// It logs only what is news, not every attempt of a long outage.
func (l *Listener) failed(ctx context.Context, err error, attempt int) time.Duration {
	mode, backoff := Down, min(minBackoff<<min(attempt, 8), maxBackoff)
	if errors.Is(err, errDeaf) {
		mode, backoff = Polling, l.pollingRetry
	}
	l.mu.Lock()
	news := l.announced != mode
	l.status.Mode, l.announced = mode, mode
	l.mu.Unlock()
	if news {
		l.log.WarnContext(ctx, "not listening; polling for new events until it works again",
			slog.String("mode", string(mode)), slog.Duration("interval", l.interval), slog.Any("error", err))
	}
	// Why jitter: replicas that lost the same server must not return as one.
	return backoff/2 + rand.N(backoff/2) //nolint:gosec // not a secret
}

// stopped marks the end of Run.
func (l *Listener) stopped() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Mode = Down
}

// Status is a snapshot.
func (l *Listener) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	status := l.status
	status.Reconnects = max(l.sessions, 1) - 1
	return status
}
