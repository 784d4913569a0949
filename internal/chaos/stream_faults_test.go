//go:build fault

package chaos

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// streamFaults are clients of streams that behave badly.
func streamFaults() []scenario {
	return []scenario{
		{name: "50 stream clients stop reading", promises: []string{"P13"}, args: []string{"--answer-timeout=3s"}, run: stalledClients},
		{name: "500 stream clients come back at once", promises: []string{"P9", "P13"}, alone: true, run: stampede},
	}
}

// stalledClients open streams from the beginning of a long log and read nothing.
func stalledClients(r *run) {
	const clients = 50
	const growth = 100 << 20
	r.plant(strings.Repeat("stall", 40), 6000)
	victim := r.replicas[0]
	before := victim.memory(r)
	for range clients {
		conn, err := net.Dial("tcp", victim.address)
		r.must(err)
		defer conn.Close()
		r.must(conn.(*net.TCPConn).SetReadBuffer(4 << 10))
		_, err = fmt.Fprintf(conn, "GET /v1/events/stream?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		r.must(err)
	}
	r.result.faults += clients
	peak := before
	deadline := time.Now().Add(30 * time.Second)
	for victim.dropped(r) < clients {
		peak = max(peak, victim.memory(r))
		if time.Now().After(deadline) {
			r.broken("P13", "of %d clients that do not read, %d were dropped within 30 s", clients, victim.dropped(r))
			break
		}
		r.during(50 * time.Millisecond)
	}
	if peak-before > growth {
		r.broken("P13", "%d clients that do not read cost %d MiB", clients, (peak-before)>>20)
	}
	r.Logf("memory grew by %d MiB", (peak-before)>>20)
	r.over()
}

// memory is what the process has in memory, in bytes; 0 where /proc does not tell.
func (r *replica) memory(run *run) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.process.Process.Pid))
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		return 0
	}
	kilobytes, err := strconv.Atoi(string(m[1]))
	run.must(err)
	return kilobytes << 10
}

// dropped is how many stream clients the replica has cut off.
func (r *replica) dropped(run *run) int {
	c := newClient("metrics", run.log)
	defer c.close()
	a, err := c.send(run.ctx, r, request{method: "GET", path: "/metrics"})
	run.must(err)
	total := 0
	for _, m := range regexp.MustCompile(`(?m)^onepg_stream_clients_dropped_total\{[^}]*stream="events"[^}]*\} (\d+)`).FindAllSubmatch(a.body, -1) {
		n, err := strconv.Atoi(string(m[1]))
		run.must(err)
		total += n
	}
	return total
}

// stampede has 500 clients on one replica, kills it, and so sends all of them to
// the other at once, each with the position it had; then back.
func stampede(r *run) {
	r.load = r.startLoad(2)
	r.await("the load flows", func() bool { return r.load.acked.Load() > 50 })
	for i := range 500 {
		r.readers = append(r.readers, follow(r.ctx, "stream", fmt.Sprintf("stream-%d", i), r.replicas, r.log))
	}
	for i := range either(2, 10) {
		victim := r.replicas[i%2]
		r.await("all clients follow", func() bool {
			at := r.readers[0].reached()
			for _, reader := range r.readers {
				at = min(at, reader.reached())
			}
			return at > int64(100*i)
		})
		r.fault(1)
		r.must(victim.kill())
		r.during(500 * time.Millisecond)
		r.must(victim.start(r.ctx))
	}
	r.over()
}
