package tail_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// stall opens a stream of events from the beginning on a connection with small
// buffers and does not read from it.
func (r *replica) stall(t *testing.T) net.Conn {
	t.Helper()
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("a connection is a %T", conn)
	}
	if err := tcp.SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n", eventStream); err != nil {
		t.Fatal(err)
	}
	return conn
}

// bulky is n users whose events are as large as a name may be.
func bulky(n int) []event {
	events := someone(n)
	for i := range events {
		events[i].Payload["name"] = strings.Repeat("x", 200)
	}
	return events
}

func TestClientsThatStopReadingAreDroppedWhileOthersFlow(t *testing.T) {
	t.Parallel()
	const stalled = 10
	r := start(t, "--answer-timeout=2s")
	for range 40 {
		r.append(bulky(250)...) // more than the 4 MiB that fit between two sockets
	}
	var conns []net.Conn
	for range stalled {
		conns = append(conns, r.stall(t))
	}
	c := r.follow(eventStream, live)
	c.run(r.append(someone(100)...))
	r.eventually("the stalled are dropped", func() bool {
		return r.metric(`onepg_stream_clients_dropped_total{reason="stalled",stream="events"}`) == stalled
	})
	if n := r.metric(`onepg_stream_clients{stream="events"}`); n != 1 {
		t.Errorf("%v clients are left, want the one that reads", n)
	}
	c.run(r.append(someone(100)...))

	// What a dropped client got is whole messages and perhaps a broken last one,
	// and it goes on from there.
	res, err := http.ReadResponse(bufio.NewReader(conns[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got := &client{tb: t, body: res.Body, lines: bufio.NewReader(res.Body), leave: func() { _ = conns[0].Close() }}
	if err := got.end(); err == nil {
		t.Error("a client that was dropped sees a clean end")
	}
	if got.lastID == 0 {
		t.Fatal("the dropped client got nothing")
	}
	again := r.follow(eventStream, got.lastID)
	again.run(got.lastID + 100)
}

func TestAClientThatIsOverrunWhileItStallsIsCutOffAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t, "--answer-timeout=1h", "--stream-buffer=8")
	r.append(bulky(1000)...)
	r.stall(t)
	r.eventually("the overrun client is gone", func() bool {
		r.append(someone(10)...)
		return r.metric(`onepg_stream_clients_dropped_total{reason="overrun",stream="events"}`) == 1 &&
			r.metric(`onepg_stream_clients{stream="events"}`) == 0
	})
	if n := r.metric(`onepg_stream_clients_dropped_total{reason="stalled",stream="events"}`); n != 0 {
		t.Errorf("it was counted as stalled, too")
	}
}

func TestNothingIsLostWithEveryNotification(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.exec("DROP TRIGGER events_notify_created ON events")
	events, rows := r.follow(eventStream, live), r.follow("/v1/users/stream", live)
	for range 3 {
		position := r.append(someone(5)...)
		began := time.Now()
		events.run(position)
		rows.run(position)
		if late := time.Since(began); late > 5*time.Second {
			t.Errorf("took %s", late)
		}
	}
}

func TestStreamsOutliveTheirDatabaseConnections(t *testing.T) {
	t.Parallel()
	r := start(t)
	events, rows := r.follow(eventStream, live), r.follow("/v1/users/stream", live)
	for range 3 {
		r.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		var position int64
		r.eventually("an append succeeds", func() (ok bool) {
			var err error
			position, err = r.tryAppend(someone(5)...)
			return err == nil
		})
		events.run(position)
		rows.run(position)
	}
}
