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
// it and delivers nothing. So a second, short connection notifies a channel
// whose name only this listener knows, and nothing counts as listening before
// that arrives. When it does not, the timer alone does the work and Status
// says polling.
//
// It fails by being late, never by being wrong: no error leaves it but that of
// an unusable URL. Garbage in the channel is counted and dropped.
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
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun/driver/pgdriver"

	"onepg/internal/fault"
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

// Options configures a Listener. Only URL is required.
type Options struct {
	// URL is a direct connection to the database, in a form pgdriver reads.
	URL string
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
	connector    *pgdriver.Connector
	channels     []string
	interval     time.Duration
	pollingRetry time.Duration
	log          *slog.Logger
	latest       atomic.Int64

	mu            sync.Mutex
	status        Status
	announced     Mode // the mode last logged; empty before the first
	sessions      uint64
	subscriptions map[*Subscription]struct{}
	feeds         map[*Feed]struct{}
}

// New prepares a listener without connecting. It fails only if the URL cannot
// be read.
func New(options Options) (*Listener, error) {
	opened, err := pgdriver.NewDriver().OpenConnector(options.URL)
	connector, ok := opened.(*pgdriver.Connector)
	if err != nil || !ok {
		// Why without the cause: it quotes the URL, which holds a password.
		return nil, fault.New(fault.Invalid, "listen-url-invalid", "The URL to listen on is not a postgres:// URL.")
	}
	config := connector.Config()
	config.AppName = cmp.Or(config.AppName, "onepg listener")
	config.DialTimeout, config.ReadTimeout, config.WriteTimeout = connectTimeout, connectTimeout, connectTimeout
	tieToContext(config)
	return &Listener{
		connector:     connector,
		channels:      append([]string{EventsCreated}, options.Channels...),
		interval:      cmp.Or(options.Interval, defaultInterval),
		pollingRetry:  pollingRetry,
		log:           cmp.Or(options.Logger, slog.New(slog.DiscardHandler)),
		status:        Status{Mode: Down},
		subscriptions: make(map[*Subscription]struct{}),
		feeds:         make(map[*Feed]struct{}),
	}, nil
}

// Run listens until ctx is done and then returns nil; no fault of the database
// ends it earlier. When it returns its connections are closed and its
// goroutines gone. One Run at a time.
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
		if ctx.Err() != nil || !wait(ctx, l.failed(ctx, err, attempt)) {
			return nil
		}
	}
}

// runTimer wakes everybody every interval: with every notification lost,
// readers are only later.
func (l *Listener) runTimer(ctx context.Context) {
	for wait(ctx, l.interval) {
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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opened, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = opened.Close() }()
	c := newConn(opened.Conn(), silence)

	// Why a channel of its own: its name is the secret that proves the probe.
	probe := "onepg:probe:" + uuid.NewString()
	if err := c.listen(append(slices.Clone(l.channels), probe)); err != nil {
		return err
	}
	if err := l.sendProbe(ctx, probe); err != nil {
		return err
	}
	return l.follow(ctx, c, probe)
}

// follow delivers what arrives until the connection ends. It returns errDeaf
// when the server gives signs of life but the probe does not come.
func (l *Listener) follow(ctx context.Context, c *conn, probe string) error {
	proved, patience := false, now().Add(silence)
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

// open connects. The connection ends with ctx.
func (l *Listener) open(ctx context.Context) (*pgdriver.Conn, error) {
	opened, err := l.connector.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	cn, ok := opened.(*pgdriver.Conn)
	if !ok {
		return nil, fmt.Errorf("connect: unexpected connection %T", opened)
	}
	return cn, nil
}

// sendProbe notifies the channel from a second connection. Why not from the
// first: a pooler would hand us the notification together with the answer, as
// it would not hand us anybody else's.
func (l *Listener) sendProbe(ctx context.Context, channel string) error {
	cn, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = cn.Close() }()
	args := []driver.NamedValue{{Ordinal: 1, Value: channel}}
	if _, err := cn.ExecContext(ctx, "SELECT pg_notify($1, '')", args); err != nil {
		return fmt.Errorf("send probe: %w", err)
	}
	return nil
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
	mode, pause := Down, min(minBackoff<<min(attempt, 8), maxBackoff)
	if errors.Is(err, errDeaf) {
		mode, pause = Polling, l.pollingRetry
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
	return pause/2 + rand.N(pause/2) //nolint:gosec // not a secret
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

// LatestPosition is the position in the last valid notification, 0 before the
// first. PostgreSQL delivers in commit order, so it is the highest announced.
// It is a hint: a forged one may lie, in either direction, until the next
// event is announced. Never decide by it what to read.
func (l *Listener) LatestPosition() int64 { return l.latest.Load() }

// wait returns after d, or reports false as soon as ctx is done.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
