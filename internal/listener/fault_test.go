package listener

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"onepg/internal/postgres/pgtest"
)

// promised is how soon after a fault's end service is normal again.
const promised = 10 * time.Second

func TestAHalfOpenConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	p := startProxy(t, url)
	l := start(t, p.URL, Options{Interval: never})
	s := l.Subscribe()
	defer s.Close()
	eventually(t, l.listening)
	drain(s)

	began := now()
	p.halfOpen()
	notify(t, open(t, url), EventsCreated, payload(1)) // goes into the dead connection
	receive(t, s.C())
	if took := now().Sub(began); took > promised {
		t.Errorf("noticed after %v", took)
	}
	if got := l.Status().Reconnects; got != 1 {
		t.Errorf("%d reconnects", got)
	}
}

func TestAServerThatIsSilentFromTheStartHoldsUpNeitherTheTimerNorTheEnd(t *testing.T) {
	t.Parallel()
	p := startProxy(t, pgtest.New(t))
	p.set(func() { p.freeze = true })
	l := prepare(t, p.URL, Options{Interval: 10 * time.Millisecond})
	s := l.Subscribe()
	defer s.Close()
	stop := run(t, l)
	eventually(t, func() bool { return p.connections() > 0 })
	for range 10 {
		receive(t, s.C())
	}
	stop()
}

func TestServiceIsNormalSoonAfterTheServerIsBack(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	p := startProxy(t, url)
	log := new(journal)
	l := start(t, p.URL, Options{
		Interval: 50 * time.Millisecond, Channels: []string{"views:updated"}, Logger: log.logger(),
	})
	s := l.Subscribe()
	defer s.Close()
	f, err := l.Feed("views:updated", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	eventually(t, l.listening)
	receive(t, f.Missed())

	p.set(func() { p.refuse = true })
	p.cut()
	eventually(t, func() bool { return l.Status().Mode == Down })
	for range 60 { // three seconds of outage, by the timer
		receive(t, s.C())
		receive(t, f.Missed())
	}
	p.set(func() { p.refuse = false })
	began := now()
	eventually(t, l.listening)
	if took := now().Sub(began); took > promised {
		t.Errorf("back after %v", took)
	}
	notify(t, open(t, url), EventsCreated, payload(9))
	eventually(t, func() bool { return l.Status().Notifications == 1 })
	if got := log.count("level=WARN"); got != 1 {
		t.Errorf("an outage with many attempts was logged %d times:\n%s", got, log)
	}
}

func TestAServerThatTakesListenButDeliversNothingMeansPolling(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	p := startProxy(t, url)
	p.set(func() { p.deaf = true })
	log := new(journal)
	l := prepare(t, p.URL, Options{Interval: 10 * time.Millisecond, Logger: log.logger()})
	l.pollingRetry = 10 * time.Millisecond
	t.Cleanup(run(t, l))
	s := l.Subscribe()
	defer s.Close()

	eventually(t, func() bool { return l.Status().Mode == Polling })
	tried := l.Status().LastHeard
	eventually(t, func() bool { return l.Status().LastHeard.After(tried) }) // at least a second attempt
	receive(t, s.C())
	if got := log.count("level=WARN"); got != 1 {
		t.Errorf("polling was logged %d times:\n%s", got, log)
	}

	p.set(func() { p.deaf = false })
	eventually(t, l.listening)
	eventually(t, func() bool { return p.connections() == 1 }) // none of the attempts left one open
	notify(t, open(t, url), EventsCreated, payload(1))
	eventually(t, func() bool { return l.Status().Notifications == 1 })
}

func TestTheBackOffStaysWithinItsCapAndIsSpread(t *testing.T) {
	t.Parallel()
	l := prepare(t, nowhere, Options{})
	pauses := make(map[time.Duration]bool)
	for attempt := range 1000 {
		pause := l.failed(t.Context(), io.EOF, attempt)
		if pause < minBackoff/2 || pause > maxBackoff {
			t.Fatalf("attempt %d after %v", attempt, pause)
		}
		pauses[pause] = true
	}
	if len(pauses) < 500 {
		t.Errorf("only %d different pauses: replicas would return as one", len(pauses))
	}
}

// A journal is a log that a test can read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) count(part string) int { return strings.Count(j.String(), part) }
