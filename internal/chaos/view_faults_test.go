//go:build fault

package chaos

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"
)

// viewFaults hit what keeps views.
func viewFaults() []scenario {
	return []scenario{
		{name: "rebuild under load and kills", promises: []string{"P9", "P12", "P13"}, run: rebuild},
		{name: "poison event", promises: []string{"P11"}, run: poison},
	}
}

// stable is how many users the load never touches.
const stable = 300

// plant makes users whose names begin with the prefix, and waits for the views.
func (r *run) plant(prefix string, n int) {
	c := newClient("planter", r.log)
	defer c.close()
	for n > 0 {
		var events []sent
		for range min(n, 500) {
			payload := mustJSON(map[string]string{"name": prefix, "email": "stable@example.com"})
			events = append(events, sent{ID: newID(), Aggregate: newID(), Name: "user.created", Payload: payload})
		}
		n -= len(events)
		o, a := c.do(r.ctx, r.replicas[0], op{Kind: "append", Array: true, Events: events}, request{
			method: http.MethodPost, path: "/v1/users/events", body: events, header: http.Header{"Prefer": {"wait=10"}},
		})
		if o.Outcome != succeeded || a.header.Get("Preference-Applied") == "" {
			r.Fatalf("plant users: %d %s", o.Status, o.Detail)
		}
	}
}

// rebuild has views rebuilt while all goes on, and kills whoever does it at
// some of its statements. Readers always see all of the stable users.
func rebuild(r *run) {
	r.plant("stable", stable)
	stop := r.background(func(ctx context.Context) {
		var group sync.WaitGroup
		for _, p := range r.replicas {
			group.Go(func() { r.watchStable(ctx, p) })
		}
		group.Wait()
	})
	defer stop()
	random := r.rng()
	for i := range either(6, 40) {
		before := r.oid("users")
		if i > 0 { // the first is left in peace
			r.killRebuilder(1 + random.IntN(12))
		}
		r.post(r.replicas[i%2], "/v1/views/users/rebuild", http.StatusAccepted)
		began := time.Now()
		r.await("the view is swapped", func() bool {
			r.startKilled()
			return r.oid("users") != before
		})
		r.network((*proxy).heal)
		r.startKilled()
		r.Logf("rebuild %d took %v", i, time.Since(began).Round(time.Millisecond))
	}
	r.over()
}

// startKilled starts the replicas again that are dead.
func (r *run) startKilled() {
	for _, p := range r.replicas {
		if p.disturbedNow() {
			<-p.gone
			r.must(p.start(r.ctx))
		}
	}
}

// killRebuilder kills the replica that sends the nth statement of a rebuild from
// now on.
func (r *run) killRebuilder(nth int) {
	var mu sync.Mutex
	for _, p := range r.replicas {
		p.proxy.set(func() {
			p.proxy.trap = func(l *link, _ string) verdict {
				mu.Lock()
				defer mu.Unlock()
				if l.app != "onepg rebuild" || nth <= 0 {
					return pass
				}
				if nth--; nth > 0 {
					return pass
				}
				r.fault(1)
				_ = p.signal(syscall.SIGKILL) // it runs, or it would send nothing
				return holdBefore
			}
		})
	}
}

// oid is the number of a view's table, which a swap changes. 0 is not known.
func (r *run) oid(view string) (oid int64) {
	db := connect(r.direct)
	defer db.Close()
	_ = db.QueryRowContext(r.ctx, `SELECT coalesce(to_regclass($1)::oid::bigint, 0)`, view).Scan(&oid) // see above
	return oid
}

// watchStable reads the stable users again and again: never one less, never late.
func (r *run) watchStable(ctx context.Context, p *replica) {
	const swap = time.Second
	c := newClient("watcher-"+p.name, r.log)
	defer c.close()
	for ctx.Err() == nil {
		o, a := c.do(r.ctx, p, op{Kind: "read"}, request{method: http.MethodGet, path: "/v1/users?limit=500&name=stable"})
		if a == nil || a.status != http.StatusOK {
			_ = pause(ctx, 10*time.Millisecond)
			continue
		}
		var page struct{ Items []struct{ Name string } }
		if err := json.Unmarshal(a.body, &page); err != nil || len(page.Items) != stable {
			r.broken("P12", "a reader saw %d of %d users while the view was rebuilt", len(page.Items), stable)
		}
		if took := o.Ended - o.Invoked; took > swap && !o.Excused {
			r.broken("P12", "a reader waited %v while the view was rebuilt", took.Round(time.Millisecond))
		}
		_ = pause(ctx, time.Duration(rand.IntN(10))*time.Millisecond)
	}
}

// post sends a request of an operator, which is not part of the history.
func (r *run) post(p *replica, path string, want ...int) {
	r.Helper()
	c := newClient("operator", r.log)
	defer c.close()
	var a *answer
	r.await(path, func() bool {
		r.startKilled()
		var err error
		a, err = c.send(r.ctx, p, request{method: http.MethodPost, path: path})
		return err == nil && a.status != http.StatusServiceUnavailable
	})
	if !slices.Contains(want, a.status) {
		r.Fatalf("POST %s: %d %s", path, a.status, a.body)
	}
}

// poison makes the database refuse one user's row, as a fault in a view would.
// All others flow, what comes after for that user waits, and a retry after the
// repair brings all of it in.
func poison(r *run) {
	r.sql(`ALTER TABLE users ADD CONSTRAINT users_poison_check CHECK (name <> 'poison')`)
	at := &target{id: newID()}
	c := newClient("poisoner", r.log)
	defer c.close()
	w := worker{client: c}
	tell := func(version int, event, payload string) {
		e := w.event(event, at, &version)
		e.Payload = json.RawMessage(payload)
		o, _ := c.do(r.ctx, r.replicas[0], op{Kind: "append", Events: []sent{e}}, request{
			method: http.MethodPost, path: "/v1/users/events", body: e, header: http.Header{"Prefer": {"wait=1"}},
		})
		if o.Outcome != succeeded {
			r.Fatalf("append %s: %d %s", payload, o.Status, o.Detail)
		}
	}
	tell(0, "user.created", `{"name":"good","email":"p@example.com"}`)
	tell(1, "user.updated", `{"name":"poison"}`)
	r.await("the aggregate is parked", func() bool {
		a, err := c.send(r.ctx, r.replicas[0], request{method: http.MethodGet, path: "/v1/views/users/parked"})
		var list struct {
			Items []struct {
				AggregateID string `json:"aggregate_id"`
			}
		}
		return err == nil && json.Unmarshal(a.body, &list) == nil && len(list.Items) == 1 && list.Items[0].AggregateID == at.id
	})
	tell(2, "user.updated", `{"email":"late@example.com"}`) // has to wait
	r.fault(0)
	for i := range either(10, 50) {
		began := time.Now()
		served := r.serves(c, r.replicas[i%2])
		if took := time.Since(began); !served || took > 2*time.Second {
			r.broken("P11", "with a poison event about, others were visible after %v (%t)", took.Round(time.Millisecond), served)
		}
	}
	a, err := c.send(r.ctx, r.replicas[1], request{method: http.MethodGet, path: "/v1/users/" + at.id})
	r.must(err)
	var row struct{ Version int }
	if json.Unmarshal(a.body, &row) != nil || row.Version != 1 {
		r.broken("P11", "the row before the poison is not kept: %s", a.body)
	}
	r.sql(`ALTER TABLE users DROP CONSTRAINT users_poison_check`)
	// It may be tried again by itself before we ask for it; then it is not there.
	r.post(r.replicas[1], "/v1/views/users/parked/"+at.id+"/retry", http.StatusAccepted, http.StatusNotFound)
	r.over()
}
