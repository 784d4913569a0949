package listener

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"onepg/internal/postgres/pgtest"
)

func TestAnAnnouncedEventWakesAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	l := start(t, url, Options{Interval: never})
	s := l.Subscribe()
	defer s.Close()
	eventually(t, l.listening)
	drain(s)

	notify(t, open(t, url), EventsCreated, payload(7))
	receive(t, s.C())
	if status := l.Status(); status.Notifications != 1 || status.LastHeard.IsZero() {
		t.Errorf("status %+v", status)
	}
}

func TestNothingSentOnceListeningIsReportedIsMissed(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db := open(t, url)
	l := prepare(t, url, Options{Interval: never})
	for position := range int64(300) {
		stop := run(t, l)
		eventually(t, l.listening)
		notify(t, db, EventsCreated, payload(position+1))
		eventually(t, func() bool { return l.Status().Notifications == uint64(position+1) })
		stop()
	}
}

func TestABurstOfTenThousandIsHeardWholeWithNobodyReading(t *testing.T) {
	t.Parallel()
	const burst = 10_000
	url := pgtest.New(t)
	l := start(t, url, Options{Interval: never})
	s := l.Subscribe()
	defer s.Close()
	eventually(t, l.listening)

	exec(t, open(t, url), `SELECT pg_notify(?, gen_random_uuid() || ',' || n || ',' || gen_random_uuid())
		FROM generate_series(1, ?) n`, EventsCreated, burst)
	eventually(t, func() bool { return l.Status().Notifications >= burst })
	if status := l.Status(); status.Notifications != burst || status.Ignored != 0 || status.Reconnects != 0 {
		t.Errorf("status %+v", status)
	}
	receive(t, s.C())
}

func TestGarbageFromAnyRoleIsCountedAndWakesNobody(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	l := start(t, url, Options{Interval: never})
	s := l.Subscribe()
	defer s.Close()
	eventually(t, l.listening)
	drain(s)

	db := open(t, url)
	garbage := []string{"", "hello", ",,", strings.Repeat("x", 7999), "'; DROP TABLE events; --", "\u2028,1,é"}
	for _, g := range garbage {
		notify(t, db, EventsCreated, g)
	}
	eventually(t, func() bool { return l.Status().Ignored == uint64(len(garbage)) })
	select {
	case <-s.C():
		t.Error("garbage woke a subscriber")
	default:
	}
	notify(t, db, EventsCreated, payload(3))
	receive(t, s.C())
	if status := l.Status(); status.Notifications != 1 || status.Reconnects != 0 {
		t.Errorf("status %+v", status)
	}
}

// The consumer of these tests is an aggregator in small: it reads the head of
// the log when woken and sleeps otherwise. The timer is off, so a wake that is
// lost leaves it behind for ever.
func TestAKilledBackendLosesNoWakeUnderLoad(t *testing.T) {
	t.Parallel()
	const kills = 5
	url := pgtest.New(t)
	l := start(t, url, Options{Interval: never})
	s := l.Subscribe()
	defer s.Close()
	eventually(t, l.listening)

	var head, seen atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(background(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.C():
				seen.Store(head.Load())
			}
		}
	}))
	stopLoad := make(chan struct{})
	sender := open(t, url)
	loaded := background(func() {
		tick := time.NewTicker(time.Millisecond) // 1,000 events/s
		defer tick.Stop()
		for {
			select {
			case <-stopLoad:
				return
			case <-tick.C:
				notify(t, sender, EventsCreated, payload(head.Load()+1))
				head.Add(1)
			}
		}
	})
	t.Cleanup(stop)

	admin := open(t, url)
	for kill := range uint64(kills) {
		before := head.Load()
		eventually(t, func() bool { return head.Load() > before+50 })
		exec(t, admin, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'listener'`)
		if kill == kills-1 {
			close(stopLoad) // the last events fall into the gap, where only the reconnect can wake
			loaded()
		}
		eventually(t, func() bool { return l.Status().Reconnects > kill })
	}
	eventually(t, func() bool { return seen.Load() == head.Load() })
}

func TestTheTimerAloneWakesWithNoServerAtAll(t *testing.T) {
	t.Parallel()
	l := start(t, nowhere, Options{Interval: 10 * time.Millisecond})
	s := l.Subscribe()
	defer s.Close()
	for range 20 {
		receive(t, s.C())
	}
	if mode := l.Status().Mode; mode != Down {
		t.Errorf("mode %q", mode)
	}
}

func TestTheTimerWakesWithinASecondAndAHalfWhenNotificationsAreLost(t *testing.T) {
	t.Parallel()
	l := start(t, pgtest.New(t), Options{}) // the default interval
	s := l.Subscribe()
	defer s.Close()
	eventually(t, l.listening)
	drain(s)
	for range 2 {
		began := now()
		receive(t, s.C())
		if late := now().Sub(began); late > 1500*time.Millisecond {
			t.Errorf("woken after %v", late)
		}
	}
}

func TestAClosedSubscriptionIsForgotten(t *testing.T) {
	t.Parallel()
	l := prepare(t, nowhere, Options{Channels: []string{"views:updated"}})
	s := l.Subscribe()
	f, err := l.Feed("views:updated", 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.Close()
		f.Close()
	}
	l.deliver(EventsCreated, payload(1))
	l.deliver("views:updated", "x")
	if len(s.C()) != 0 || len(f.C()) != 0 || len(l.subscriptions) != 0 || len(l.feeds) != 0 {
		t.Error("still subscribed")
	}
}

// feed starts a listener and gives a feed of it, which has missed nothing yet,
// and the database that notifies.
func feed(t *testing.T, size int) (*Listener, *Feed, *bun.DB) {
	t.Helper()
	url := pgtest.New(t)
	l := start(t, url, Options{Channels: []string{"views:updated"}, Interval: never})
	f, err := l.Feed("views:updated", size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	eventually(t, l.listening)
	receive(t, f.Missed()) // what went by before listening
	return l, f, open(t, url)
}

func TestAFeedCarriesPayloadsInOrder(t *testing.T) {
	t.Parallel()
	_, f, db := feed(t, 16)
	for i := range 16 {
		notify(t, db, "views:updated", strconv.Itoa(i))
		notify(t, db, EventsCreated, payload(int64(i+1)))
	}
	for i := range 16 {
		if got := receive(t, f.C()); got != strconv.Itoa(i) {
			t.Fatalf("got %q, want %d", got, i)
		}
	}
	if len(f.Missed()) != 0 {
		t.Error("nothing was missed, but the feed says so")
	}
}

func TestAFeedNobodyReadsHoldsUpNobodyAndSaysWhatItMissed(t *testing.T) {
	t.Parallel()
	l, f, db := feed(t, 2)
	for i := range 5 {
		notify(t, db, "views:updated", strconv.Itoa(i))
	}
	eventually(t, func() bool { return l.Status().Notifications == 5 })
	receive(t, f.Missed())
	if got := receive(t, f.C()) + receive(t, f.C()); got != "01" || len(f.C()) != 0 {
		t.Errorf("held %q and %d more", got, len(f.C()))
	}
}

func TestAFeedOfAChannelNobodyListensToIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := prepare(t, nowhere, Options{}).Feed("views:updated", 1); err == nil {
		t.Error("no error")
	}
}

func TestStartAndStopAtAnyMomentLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	l := prepare(t, url, Options{Interval: time.Millisecond})
	for i := range 60 {
		stop := run(t, l)
		if i%2 == 0 { // the others are stopped wherever they happen to be
			eventually(t, l.listening)
		}
		stop()
		if mode := l.Status().Mode; mode != Down {
			t.Fatalf("mode %q after Run", mode)
		}
	}
	db := open(t, url)
	eventually(t, func() bool {
		var backends int
		err := db.NewSelect().TableExpr("pg_stat_activity").ColumnExpr("count(*)").
			Where("datname = current_database()").Where("application_name = 'listener'").
			Scan(t.Context(), &backends)
		return err == nil && backends == 0
	})
}
