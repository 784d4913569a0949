package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"onepg/internal/listener"
	"onepg/internal/postgres"
)

const (
	// listenPatience is longer than the listener needs to find out that nothing
	// is delivered.
	listenPatience = 8 * time.Second
	hearPatience   = 3 * time.Second
)

// listen sends a word nobody else knows through the address for queries and
// waits for it at the address for LISTEN.
func listen(ctx context.Context, p *patient) Finding {
	pool, err := postgres.Open(ctx, postgres.Options{URL: p.listenURL, AppName: "onepg doctor", MaxConns: 2})
	if err != nil {
		return failed("APP_LISTEN_URL: "+err.Error(), "Correct it, or leave it empty to use APP_DATABASE_URL.")
	}
	defer func() { _ = pool.Close() }() // nothing is pending on it
	// Why before anything is listened to: through a pooler LISTEN would stay with
	// a server connection that others get next, and break their answers.
	if shared, err := listener.IsShared(ctx, pool); err != nil || shared {
		return notTried(err)
	}
	channel, nonce := "onepg:doctor:"+uuid.NewString(), uuid.NewString()
	l := listener.New(listener.Options{DB: pool, Channels: []string{channel}})
	feed, err := l.Feed(channel, 1)
	if err != nil {
		return failed(err.Error(), "This is a defect of the program.")
	}
	running, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = l.Run(running) // it ends with its context and without an error
	}()
	defer func() { stop(); <-stopped }()

	if mode := subscribed(ctx, l, feed); mode != listener.Listening {
		return notListening(mode)
	}
	sent := p.Clock()
	if _, err := p.db.ExecContext(ctx, "SELECT pg_notify(?, ?)", channel, nonce); err != nil {
		return unanswered(err)
	}
	ctx, cancel := context.WithTimeout(ctx, hearPatience)
	defer cancel()
	for {
		select {
		case heard := <-feed.C():
			if heard == nonce {
				return ok(fmt.Sprintf("a notification arrived after %s", p.Clock().Sub(sent).Round(100*time.Microsecond)))
			}
		case <-ctx.Done():
			return failed("what APP_DATABASE_URL notifies is not heard at APP_LISTEN_URL",
				"Let both name the same database of the same server.")
		}
	}
}

// subscribed waits until the listener has proved its subscription, or is sure
// that it will not.
func subscribed(ctx context.Context, l *listener.Listener, feed *listener.Feed) listener.Mode {
	ctx, cancel := context.WithTimeout(ctx, listenPatience)
	defer cancel()
	for {
		if mode := l.Status().Mode; mode != listener.Down {
			return mode
		}
		select {
		case <-feed.Missed(): // something happened, or a second went by
		case <-ctx.Done():
			return l.Status().Mode
		}
	}
}

// notTried is the finding for an address that is not fit for LISTEN.
func notTried(err error) Finding {
	if err != nil {
		return unanswered(err)
	}
	return warning("not tried: APP_LISTEN_URL, or APP_DATABASE_URL in its place, goes through a pooler in transaction mode",
		"Set APP_LISTEN_URL to an address that goes straight to PostgreSQL.")
}

func notListening(mode listener.Mode) Finding {
	if mode == listener.Polling {
		return warning("LISTEN is accepted and nothing is delivered, as on a standby or behind a pooler",
			"Set APP_LISTEN_URL to an address that goes straight to PostgreSQL. Until then views look for events every APP_POLL_INTERVAL.")
	}
	return failed("no connection could be kept for LISTEN",
		"Look at the log of PostgreSQL; APP_LISTEN_URL must go straight to the server.")
}
