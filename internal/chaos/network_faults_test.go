//go:build fault

package chaos

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// networkFaults hit the way between the program and PostgreSQL.
func networkFaults() []scenario {
	all := []string{"P8", "P9", "P10", "P13"}
	return []scenario{
		{name: "network cut for 1 s", promises: all, run: func(r *run) { freezeNetwork(r, time.Second) }},
		{name: "network cut for 5 s", promises: all, run: func(r *run) { freezeNetwork(r, 5*time.Second) }},
		{name: "network cut for 30 s", promises: all, hurts: true, long: true, run: func(r *run) { freezeNetwork(r, 30*time.Second) }},
		{name: "connections closed and refused", promises: all, hurts: true, run: refuseConnections},
		{name: "latency of 50 ms", promises: []string{"P9", "P10", "P13"}, run: delayNetwork},
		{name: "cut between commit and answer", promises: []string{"P9", "P13"}, run: cutAfterCommit},
	}
}

// freezeNetwork lets nothing pass, as if a cable were out: nobody is told, and
// what was on the way arrives when it is back.
func freezeNetwork(r *run, d time.Duration) {
	r.fault(0)
	r.network(func(p *proxy) { p.set(func() { p.frozen = true }) })
	r.during(d)
	r.network((*proxy).heal)
	r.over()
}

func refuseConnections(r *run) {
	for range either(3, 10) {
		r.fault(0)
		r.network(func(p *proxy) {
			p.set(func() { p.refuse = true })
			p.cut()
		})
		r.during(time.Second)
		r.network((*proxy).heal)
		r.over()
	}
}

func delayNetwork(r *run) {
	r.fault(0)
	r.network(func(p *proxy) { p.set(func() { p.delay = latency(50*time.Millisecond, 20*time.Millisecond) }) })
	r.during(time.Duration(either(5, 60)) * time.Second)
	r.network((*proxy).heal)
	r.over()
}

// cutAfterCommit closes connections when the server has committed and the
// answer is on its way: of appends, which commit by themselves, and of views.
func cutAfterCommit(r *run) {
	var ofAppends, ofViews atomic.Int64
	r.network(func(p *proxy) {
		p.set(func() {
			p.trap = func(l *link, statement string) verdict {
				cuts := &ofAppends
				switch {
				case l.app == "onepg append" && strings.Contains(statement, "append_events("):
				case l.app == "onepg views" && strings.HasSuffix(statement, "COMMIT"):
					cuts = &ofViews
				default:
					return pass
				}
				if rand.IntN(6) != 0 {
					return pass
				}
				cuts.Add(1)
				return cutAfter
			}
		})
	})
	r.during(time.Duration(either(5, 60)) * time.Second)
	r.network((*proxy).heal)
	if ofAppends.Load() < 10 || ofViews.Load() < 10 {
		r.Fatalf("only %d commits of appends and %d of views were cut", ofAppends.Load(), ofViews.Load())
	}
	r.result.faults += int(ofAppends.Load() + ofViews.Load())
	r.over()
}
