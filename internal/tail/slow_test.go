package tail_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// stall opens a stream of events from the beginning on a connection with small
// buffers and reads nothing from it but that it was accepted.
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
	// Why: a stream that was refused would stall as well, and prove nothing.
	const accepted = "HTTP/1.1 200 OK\r\n"
	answer := make([]byte, len(accepted))
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != accepted {
		t.Fatalf("the stream is answered with %q, %v", answer, err)
	}
	return conn
}

// dropped is how many clients of the events' stream were cut off.
func (r *replica) dropped() (stalled, overrun float64) {
	return r.metric(`onepg_stream_clients_dropped_total{reason="stalled",stream="events"}`),
		r.metric(`onepg_stream_clients_dropped_total{reason="overrun",stream="events"}`)
}

// bulky is n users whose events are as large as a name may be.
func bulky(n int) []event {
	events := someone(n)
	for i := range events {
		events[i].Payload["name"] = strings.Repeat("x", 200)
	}
	return events
}

// P13. What a client does not read costs the write deadline and the buffer of
// its connection, and nobody else notices.
func TestClientsThatStopReadingAreDroppedWhileOthersFlow(t *testing.T) {
	t.Parallel()
	const stalled, bulk = 10, 40
	writer := start(t)
	r := startOn(t, writer.database, "--answer-timeout=2s")
	for range bulk {
		writer.append(bulky(250)...)
	}
	var conns []net.Conn
	for range stalled {
		conns = append(conns, r.stall(t))
	}
	c := r.follow(eventStream, live)
	c.run(writer.append(someone(100)...))
	r.eventually("the stalled are dropped", func() bool {
		// A machine that is slow enough lets them be overrun first.
		timedOut, overrun := r.dropped()
		return timedOut+overrun == stalled && r.metric(`onepg_stream_clients{stream="events"}`) == 1
	})
	c.run(writer.append(someone(100)...))

	// What a dropped client got is whole messages and perhaps a broken last one,
	// much less than it asked for, and it goes on from there.
	buffered := &counter{Reader: io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\n"), conns[0])}
	res, err := http.ReadResponse(bufio.NewReader(buffered), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got := &client{tb: t, body: res.Body, lines: bufio.NewReader(res.Body), leave: func() { _ = conns[0].Close() }}
	if err := got.end(); err == nil {
		t.Error("a client that was dropped sees a clean end")
	}
	if got.lastID == 0 || buffered.n > 1<<20 {
		t.Fatalf("the dropped client got %d bytes, up to position %d", buffered.n, got.lastID)
	}
	again := r.follow(eventStream, got.lastID)
	again.run(got.lastID + 100)
}

// counter counts what is read.
type counter struct {
	io.Reader

	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestAClientThatIsOverrunWhileItStallsIsCutOffAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t, "--answer-timeout=1h", "--stream-buffer=8")
	for range 8 {
		r.append(bulky(500)...) // 2 MB in all, more than the connection's two buffers hold
	}
	r.stall(t)
	r.eventually("the overrun client is gone", func() bool {
		r.append(someone(10)...)
		_, overrun := r.dropped()
		return overrun == 1 && r.metric(`onepg_stream_clients{stream="events"}`) == 0
	})
	if timedOut, _ := r.dropped(); timedOut != 0 {
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
