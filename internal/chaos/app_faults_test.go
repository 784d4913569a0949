//go:build fault

package chaos

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// appFaults hit the program's processes.
func appFaults() []scenario {
	return []scenario{
		{name: "app killed at random", promises: []string{"P8", "P9", "P13"}, run: killApp},
		{name: "app killed at each step", promises: []string{"P9", "P13"}, run: killAtEachStep},
		{name: "app stopped under load", promises: []string{"P9", "P13"}, run: stopApp},
		{name: "app frozen in a batch", promises: []string{"P9", "P13"}, run: freezeApp},
		{name: "many send the same ids", alone: true, run: sameIDs},
		{name: "many write one aggregate", alone: true, run: oneAggregate},
	}
}

// rng is a source of choices of the scenario's own.
func (r *run) rng() *rand.Rand {
	h := fnv.New64()
	_, _ = h.Write([]byte(r.name)) // a hash takes everything
	return rand.New(rand.NewPCG(r.seed, h.Sum64()))
}

// either gives the number for the short or the long form.
func either(short, longer int) int {
	if *long {
		return longer
	}
	return short
}

// killApp kills one replica after the other, at any moment.
func killApp(r *run) {
	random := r.rng()
	for range either(6, 40) {
		r.during(time.Duration(100+random.IntN(700)) * time.Millisecond)
		victim := r.replicas[random.IntN(len(r.replicas))]
		r.fault(1)
		r.must(victim.kill())
		r.must(victim.start(r.ctx))
	}
	r.over()
}

// killAtEachStep kills a replica when it is about to send each of the
// statements that appends and view batches consist of, and when each was
// carried out and its answer is on the way: before begin, after lock, after
// insert, before commit, after commit and before its answer, and all between.
func killAtEachStep(r *run) {
	victim := r.replicas[0]
	for _, step := range steps(r, victim.proxy) {
		for _, v := range []verdict{holdBefore, holdAfter} {
			reached := make(chan struct{})
			var once sync.Once
			victim.proxy.set(func() {
				victim.proxy.trap = func(l *link, statement string) verdict {
					if l.step(statement) != step {
						return pass
					}
					hit := pass
					once.Do(func() { hit = v; close(reached) })
					return hit
				}
			})
			select {
			case <-reached:
			case <-time.After(1500 * time.Millisecond):
				// Not each statement comes again: the other replica may have the views.
				victim.proxy.heal()
				continue
			}
			if v == holdAfter {
				r.during(20 * time.Millisecond) // for the server to do it
			}
			r.fault(1)
			r.must(victim.kill())
			victim.proxy.heal()
			r.must(victim.start(r.ctx))
		}
	}
	r.over()
}

// step names a statement: who sends it and its first words, without values.
func (l *link) step(statement string) string {
	statement, _, _ = strings.Cut(statement, "(")
	words := strings.Fields(statement)
	return l.app + ": " + strings.Join(words[:min(len(words), 3)], " ")
}

// steps lists what appends and views send, as it is seen on the wire.
func steps(r *run, p *proxy) []string {
	var mu sync.Mutex
	var all []string
	p.set(func() {
		p.trap = func(l *link, statement string) verdict {
			mu.Lock()
			defer mu.Unlock()
			step := l.step(statement)
			if (l.app == "onepg append" || l.app == "onepg views") && !strings.Contains(step, "set_config") && !slices.Contains(all, step) {
				all = append(all, step)
			}
			return pass
		}
	})
	r.during(1500 * time.Millisecond)
	p.heal()
	mu.Lock()
	defer mu.Unlock()
	if len(all) < 8 {
		r.Fatalf("appends and views are made of only %d statements: %q", len(all), all)
	}
	return all
}

// stopApp ends replicas as an administrator does.
func stopApp(r *run) {
	for i := range either(3, 12) {
		r.during(300 * time.Millisecond)
		victim := r.replicas[i%len(r.replicas)]
		r.fault(0)
		r.must(victim.signal(syscall.SIGTERM))
		if err := victim.wait(20 * time.Second); err != nil {
			r.broken("P9", "SIGTERM under load: %v", err)
		}
		r.must(victim.start(r.ctx))
	}
	r.over()
}

// freezeApp stops a replica when it has taken a view, for longer than its
// transaction may last, and lets it go on: a zombie that believes it holds a view
// which another replica has taken meanwhile.
func freezeApp(r *run) {
	victim := r.replicas[0]
	reached := make(chan struct{})
	var once sync.Once
	victim.proxy.set(func() {
		victim.proxy.trap = func(l *link, statement string) verdict {
			// Why not view_resume: COMMIT goes with it, so the view would not be held.
			if l.app == "onepg views" && strings.Contains(statement, "view_claim") {
				once.Do(func() {
					_ = victim.signal(syscall.SIGSTOP)
					close(reached)
				})
			}
			return pass
		}
	})
	select {
	case <-reached:
	case <-time.After(20 * time.Second):
		r.Fatal("replica a never worked on a view")
	}
	r.fault(0)
	victim.proxy.heal()
	r.during(time.Duration(either(12, 60)) * time.Second)
	r.must(victim.signal(syscall.SIGCONT))
	r.over()
}

// sameIDs is P2 in its own words: 32 clients post the same 1,000 ids at once.
func sameIDs(r *run) {
	const clients, ids = 32, 1000
	var events []sent
	for range ids {
		events = append(events, (&worker{client: &client{name: "same"}}).event("user.created", &target{id: newID()}, nil))
	}
	statuses := r.crowd(clients, func(c *client, i int) (all []int) {
		for _, e := range events {
			o, _ := c.do(r.ctx, r.replicas[i%2], op{Kind: "append", Events: []sent{e}}, request{method: "POST", path: "/v1/users/events", body: e})
			all = append(all, o.Status)
		}
		return all
	})
	if statuses[201] != ids || statuses[200] != ids*(clients-1) {
		r.broken("P2", "%d clients posted the same %d ids: %v", clients, ids, statuses)
	}
}

// oneAggregate is P4 in its own words: 64 writers on one aggregate.
func oneAggregate(r *run) {
	const writers, rounds = 64, 20
	at := &target{id: newID()}
	statuses := r.crowd(writers, func(c *client, i int) (all []int) {
		w := &worker{
			client: c, load: &load{replicas: r.replicas, log: r.log, stopping: make(chan struct{}), contended: []*target{at}, broken: r.broken},
			random: rand.New(rand.NewPCG(r.seed, uint64(i))),
		}
		for range rounds {
			w.race(r.ctx)
		}
		return nil
	})
	_ = statuses
	if at.version.Load() < rounds {
		r.broken("P4", "%d writers brought one aggregate only to version %d", writers, at.version.Load())
	}
}

// crowd lets clients act at once and counts the statuses they got.
func (r *run) crowd(clients int, act func(c *client, i int) []int) map[int]int {
	var mu sync.Mutex
	counts := map[int]int{}
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			c := newClient("crowd", r.log)
			defer c.close()
			statuses := act(c, i)
			mu.Lock()
			defer mu.Unlock()
			for _, s := range statuses {
				counts[s]++
			}
		})
	}
	group.Wait()
	return counts
}
