//go:build fault

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// A load is what users do, all the time and whatever is broken: they create,
// change and delete, one by one and in arrays, race for the same aggregates,
// pay, read what they wrote, repeat what they are not sure of, and now and then
// do what is refused.
type load struct {
	replicas  []*replica
	log       *recorder
	contended []*target
	stopping  chan struct{}
	stopOnce  sync.Once
	workers   sync.WaitGroup
	acked     atomic.Int64 // operations that succeeded
	broken    func(promise, format string, args ...any)
}

// A target is an aggregate as its writer knows it.
type target struct {
	id      string
	version atomic.Int64
}

// A worker is one user with a connection of its own.
type worker struct {
	*load
	*client

	random *rand.Rand
	own    []*target
	past   []sent // acknowledged, to be repeated and reused
	serial int
}

// thinking is the longest pause between two requests of a worker. Why not none:
// two saturated cores would measure the queue and not the fault.
const thinking = 12 * time.Millisecond

// startLoad lets a number of workers live until the load is stopped.
func (r *run) startLoad(workers int) *load {
	l := &load{replicas: r.replicas, log: r.log, stopping: make(chan struct{}), broken: r.broken}
	for range 4 {
		l.contended = append(l.contended, &target{id: uuid.NewString()})
	}
	for i := range workers {
		w := &worker{load: l, client: newClient(fmt.Sprintf("worker-%d", i), r.log), random: rand.New(rand.NewPCG(r.seed, uint64(i)))}
		l.workers.Go(func() {
			defer w.close()
			w.live(r.ctx)
		})
	}
	return l
}

// stop lets every worker finish what it does.
func (l *load) stop() {
	l.stopOnce.Do(func() { close(l.stopping) })
	l.workers.Wait()
}

func (l *load) stopped() bool {
	select {
	case <-l.stopping:
		return true
	default:
		return false
	}
}

func (w *worker) live(ctx context.Context) {
	for !w.stopped() && ctx.Err() == nil {
		switch n := w.random.IntN(100); {
		case n < 35:
			w.create(ctx)
		case n < 55:
			w.change(ctx)
		case n < 65:
			w.race(ctx)
		case n < 75:
			w.batch(ctx)
		case n < 80:
			w.repeat(ctx)
		case n < 83:
			w.reuse(ctx)
		case n < 86:
			w.remove(ctx)
		case n < 92:
			w.pay(ctx)
		default:
			w.readBack(ctx)
		}
		_ = pause(ctx, time.Duration(w.random.Int64N(int64(thinking))))
	}
}

func (w *worker) event(name string, at *target, expected *int) sent {
	w.serial++
	who := fmt.Sprintf("%s %d", w.name, w.serial)
	payload := mustJSON(map[string]string{"name": who, "email": w.name + "@example.com"})
	if name == "user.deleted" {
		payload = mustJSON(map[string]string{"reason": who})
	}
	return sent{ID: uuid.Must(uuid.NewV7()).String(), Aggregate: at.id, Name: name, Payload: payload, Expected: expected}
}

// persist sends an append until it is known what became of it, or the load
// stops.
func (w *worker) persist(ctx context.Context, o op) op {
	o.Kind = "append"
	req := request{method: http.MethodPost, path: "/v1/users/events", body: o.Events}
	if !o.Array {
		req.body = o.Events[0]
	}
	return w.insist(ctx, o, req)
}

// single is the append of one event.
func single(e sent) op { return op{Events: []sent{e}} }

func (w *worker) insist(ctx context.Context, o op, req request) op {
	for {
		done, _ := w.do(ctx, w.replicas[w.random.IntN(len(w.replicas))], o, req)
		if done.Outcome == succeeded {
			w.acked.Add(1)
		}
		if done.Outcome != unknown || w.stopped() || ctx.Err() != nil {
			return done
		}
		_ = pause(ctx, 50*time.Millisecond+time.Duration(w.random.IntN(100))*time.Millisecond)
	}
}

func (w *worker) remember(o op) {
	if o.Outcome != succeeded {
		return
	}
	if w.past = append(w.past, o.Events...); len(w.past) > 50 {
		w.past = w.past[len(w.past)-50:]
	}
}

func (w *worker) create(ctx context.Context) {
	at := &target{id: uuid.NewString()}
	var expected *int
	if w.random.IntN(2) == 0 {
		expected = new(int)
	}
	o := w.persist(ctx, single(w.event("user.created", at, expected)))
	w.remember(o)
	if o.Outcome == succeeded {
		at.version.Store(1)
		w.own = append(w.own, at)
	}
}

// pick takes one of the worker's own aggregates.
func (w *worker) pick() (at *target, index int) {
	if len(w.own) == 0 {
		return nil, 0
	}
	index = w.random.IntN(len(w.own))
	return w.own[index], index
}

func (w *worker) forget(index int) {
	w.own[index] = w.own[len(w.own)-1]
	w.own = w.own[:len(w.own)-1]
}

// change is an update that nobody else competes with, so it is never refused.
func (w *worker) change(ctx context.Context) {
	at, i := w.pick()
	if at == nil {
		return
	}
	expected := int(at.version.Load())
	o := w.persist(ctx, single(w.event("user.updated", at, &expected)))
	w.remember(o)
	switch o.Outcome {
	case succeeded:
		at.version.Store(int64(expected + 1))
	case refused:
		w.broken("P4", "%s alone writes %s and was refused: %d %s", w.name, at.id, o.Status, o.Code)
		fallthrough
	case unknown:
		w.forget(i)
	}
}

// race writes where all others write too.
func (w *worker) race(ctx context.Context) {
	at := w.contended[w.random.IntN(len(w.contended))]
	expected := int(at.version.Load())
	name := "user.updated"
	if expected == 0 {
		name = "user.created"
	}
	o := w.persist(ctx, single(w.event(name, at, &expected)))
	switch o.Outcome {
	case succeeded:
		at.reached(expected + 1)
	case refused, unknown:
		w.look(ctx, at)
	}
}

func (t *target) reached(version int) {
	for {
		known := t.version.Load()
		if known >= int64(version) || t.version.CompareAndSwap(known, int64(version)) {
			return
		}
	}
}

// look asks the log, which is never behind, how far an aggregate is.
func (w *worker) look(ctx context.Context, at *target) {
	after := 0
	for {
		_, a := w.do(ctx, w.replicas[w.random.IntN(len(w.replicas))], op{Kind: "read"},
			request{method: http.MethodGet, path: "/v1/events?limit=500&aggregate_id=" + at.id + "&after=" + strconv.Itoa(after)})
		var page struct {
			Items []struct{ Position, Version int }
		}
		if a == nil || json.Unmarshal(a.body, &page) != nil || len(page.Items) == 0 {
			return
		}
		end := page.Items[len(page.Items)-1]
		at.reached(end.Version)
		after = end.Position
	}
}

// batch sends an array: some new users, the first of them changed at once. One
// in four asks for a version that cannot be, and must leave nothing behind.
func (w *worker) batch(ctx context.Context) {
	var events []sent
	var made []*target
	for range 2 + w.random.IntN(18) {
		at := &target{id: uuid.NewString()}
		at.version.Store(1)
		made = append(made, at)
		events = append(events, w.event("user.created", at, nil))
	}
	one := 1
	events = append(events, w.event("user.updated", made[0], &one))
	made[0].version.Store(2)
	wrong := w.random.IntN(4) == 0
	if wrong {
		far := 7
		events = append(events, w.event("user.updated", made[1], &far))
	}
	o := w.persist(ctx, op{Array: true, Wrong: wrong, Events: events})
	if o.Outcome == succeeded {
		w.own = append(w.own, made...)
	}
}

// repeat sends what was acknowledged once more.
func (w *worker) repeat(ctx context.Context) {
	if len(w.past) == 0 {
		return
	}
	again := w.past[w.random.IntN(len(w.past))]
	if o := w.persist(ctx, single(again)); o.Outcome == refused {
		w.broken("P2", "event %s was acknowledged and its repetition refused: %d %s", again.ID, o.Status, o.Code)
	}
}

// reuse sends an id that is taken with something else.
func (w *worker) reuse(ctx context.Context) {
	if len(w.past) == 0 {
		return
	}
	other := w.past[w.random.IntN(len(w.past))]
	other.Payload = json.RawMessage(`{"name":"Mallory","email":"mallory@example.com"}`)
	if other.Name == "user.deleted" {
		return
	}
	if o := w.persist(ctx, op{Wrong: true, Events: []sent{other}}); o.Outcome == refused && o.Code != "event-id-reused" {
		w.broken("P3", "a reused id was answered %d %s", o.Status, o.Code)
	}
}

func (w *worker) remove(ctx context.Context) {
	at, i := w.pick()
	if at == nil {
		return
	}
	expected := int(at.version.Load())
	w.remember(w.persist(ctx, single(w.event("user.deleted", at, &expected))))
	w.forget(i)
}

// pay processes a payment, or repeats a request for one.
func (w *worker) pay(ctx context.Context) {
	w.serial++
	id, key := uuid.NewString(), uuid.NewString()
	customer := uuid.NewString()
	if at, _ := w.pick(); at != nil {
		customer = at.id
	}
	req := request{
		method: http.MethodPost, path: "/v1/payments/" + id + "/process", header: http.Header{"Idempotency-Key": {key}},
		body: map[string]any{
			"customer_id": customer, "method": "wallet",
			"amount": map[string]string{"value": strconv.Itoa(1+w.random.IntN(20_000)) + ".00", "currency": "USD"},
		},
	}
	first := w.insist(ctx, op{Kind: "command", Payment: id}, req)
	if first.Outcome != succeeded || w.random.IntN(3) > 0 {
		return
	}
	again := w.insist(ctx, op{Kind: "command", Payment: id}, req)
	if again.Outcome == succeeded && fmt.Sprint(again.Receipts) != fmt.Sprint(first.Receipts) {
		w.broken("P2", "payment %s was answered %v and, with the same key, %v", id, first.Receipts, again.Receipts)
	}
}

// readBack asks for what the worker wrote.
func (w *worker) readBack(ctx context.Context) {
	at, _ := w.pick()
	if at == nil {
		return
	}
	version := at.version.Load()
	_, a := w.do(ctx, w.replicas[w.random.IntN(len(w.replicas))], op{Kind: "read"}, request{
		method: http.MethodGet, path: fmt.Sprintf("/v1/users/%s?min_version=%d", at.id, version), header: http.Header{"Prefer": {"wait=2"}},
	})
	var row struct{ Version int64 }
	if a == nil || a.status != http.StatusOK {
		return
	}
	if err := json.Unmarshal(a.body, &row); err != nil || row.Version < version {
		w.broken("P7", "%s wrote version %d of %s, asked for it and got %d", w.name, version, at.id, row.Version)
	}
}
