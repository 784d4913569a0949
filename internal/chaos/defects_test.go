package chaos

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// world is a history without a fault and the database it ended in: a user that
// is created and changed by two clients, a batch of two, a payment, a repeated
// request, and one that lost.
type world struct {
	h history
	s *state
}

func soundWorld() *world {
	w := &world{s: &state{
		positions: map[string]int64{}, locks: map[string]map[string]int{},
		users: map[string]userRow{}, payments: map[string]paymentRow{}, customers: map[string]customerRow{},
	}}
	ada, bob, eve := "a0", "a1", "a2"
	w.append(false, w.event("e1", ada, "user.created", 0))
	w.append(false, w.event("e2", ada, "user.updated", 1))
	w.append(true, w.event("e3", bob, "user.created", 0), w.event("e4", eve, "user.created", 0))
	again := w.h.ops[0]
	again.Status, again.Receipts = 200, []receipt{{ID: "e1", Aggregate: ada, Version: 1, Position: 1, Duplicate: true}}
	w.do(again)
	w.do(op{Kind: "append", Outcome: refused, Status: 409, Code: "version-conflict", Events: []sent{w.event("e5", ada, "user.updated", 1)}})
	w.store(stored{
		ID: "e6", Aggregate: "p0", Kind: "payment", Name: "payment.initiated", Version: 1,
		Payload: json.RawMessage(`{"customer_id":"a0","amount":{"value":"10.00","currency":"USD"},"method":"wallet"}`),
	})
	w.do(op{
		Kind: "command", Outcome: succeeded, Status: 200, Payment: "p0",
		Receipts: []receipt{{ID: "e6", Aggregate: "p0", Version: 1, Position: 5}},
	})
	w.do(op{Kind: "append", Outcome: unknown, Status: 503, Code: "unavailable", RetryAfter: true, Events: []sent{w.event("e7", "a3", "user.created", 0)}})
	w.show()
	w.h.sessions = []session{{Reader: "stream", Kind: "stream"}}
	for _, e := range w.s.events {
		w.h.sessions[0].Seen = append(w.h.sessions[0].Seen, seen{e.Position, e.ID})
	}
	return w
}

func (w *world) event(id, aggregate, name string, expected int) sent {
	return sent{
		ID: id, Aggregate: aggregate, Name: name, Expected: &expected,
		Payload: json.RawMessage(fmt.Sprintf(`{"name":%q,"email":"x@example.com"}`, "name of "+id)),
	}
}

// do adds an operation that begins when the one before has ended.
func (w *world) do(o op) {
	o.Client = "client"
	o.Invoked = time.Duration(len(w.h.ops)*10) * time.Millisecond
	o.Ended = o.Invoked + 5*time.Millisecond
	w.h.ops = append(w.h.ops, o)
}

func (w *world) store(e stored) {
	e.Position = int64(len(w.s.events) + 1)
	e.Recorded = time.UnixMilli(e.Position * 10).UTC()
	w.s.events = append(w.s.events, e)
	w.s.head = e.Position
}

func (w *world) append(array bool, events ...sent) {
	o := op{Kind: "append", Outcome: succeeded, Status: 201, Array: array, Events: events}
	for _, e := range events {
		w.store(stored{ID: e.ID, Aggregate: e.Aggregate, Kind: "user", Name: e.Name, Version: *e.Expected + 1, Payload: e.Payload})
		o.Receipts = append(o.Receipts, receipt{ID: e.ID, Aggregate: e.Aggregate, Version: *e.Expected + 1, Position: w.s.head})
	}
	w.do(o)
}

// show makes the views what they must be.
func (w *world) show() {
	f, err := fold(w.s.events)
	if err != nil {
		panic(err)
	}
	w.s.users, w.s.payments, w.s.customers = f.users, f.payments, f.customers
	w.s.locks = map[string]map[string]int{
		"users": f.versions["user"], "payment_customers": f.versions["user"], "payment_summaries": f.versions["payment"],
	}
	for view := range w.s.locks {
		w.s.positions[view] = w.s.head
	}
}

func TestChecksPassASoundHistory(t *testing.T) {
	t.Parallel()
	w := soundWorld()
	for _, v := range judge(w.h, w.s) {
		t.Errorf("%s: %s", v.check, v.detail)
	}
}

// TestEachCheckCatchesItsDefect plants one defect each time and expects the
// check that is there for it to report it.
func TestEachCheckCatchesItsDefect(t *testing.T) {
	t.Parallel()
	last := func(w *world) *stored { return &w.s.events[len(w.s.events)-1] }
	defects := []struct {
		name, check string
		plant       func(*world)
	}{
		{"the last event is gone", "no acknowledged event is lost", func(w *world) {
			w.s.events = w.s.events[:len(w.s.events)-1]
			w.s.head--
			w.show()
		}},
		{"a payload is another", "no acknowledged event is lost", func(w *world) { w.s.events[0].Payload = json.RawMessage(`{"name":"Mallory"}`) }},
		{"a position was moved after it was answered", "no acknowledged event is lost", func(w *world) { w.h.ops[0].Receipts[0].Position = 2 }},
		{"an answer has no receipts", "no acknowledged event is lost", func(w *world) { w.h.ops[2].Receipts = nil }},
		{"an event that nobody sent", "nothing is stored that no client sent", func(w *world) {
			w.store(stored{ID: "ghost", Aggregate: "a9", Kind: "user", Name: "user.created", Version: 1, Payload: json.RawMessage(`{}`)})
		}},
		{"a payment that nobody asked for", "nothing is stored that no client sent", func(w *world) { last(w).Aggregate = "p9" }},
		{"an event that was refused", "nothing is stored that no client sent", func(w *world) {
			w.store(stored{ID: "e5", Aggregate: "a0", Kind: "user", Name: "user.updated", Version: 3, Payload: w.h.ops[4].Events[0].Payload})
		}},
		{"an id is there twice", "ids are stored once", func(w *world) { w.store(w.s.events[0]) }},
		{"a repeated request gets another position", "an id is answered alike for ever", func(w *world) { w.h.ops[3].Receipts[0].Position = 4 }},
		{"a repeated request is new again", "an id is answered alike for ever", func(w *world) { w.h.ops[3].Receipts[0].Duplicate = false }},
		{"a reused id is accepted", "wrong requests are refused", func(w *world) { w.h.ops[0].Wrong = true }},
		{"a version is missing", "versions are 1..n", func(w *world) { w.s.events[1].Version = 3 }},
		{"versions are not in the order of positions", "versions are 1..n", func(w *world) {
			w.s.events[0].Version, w.s.events[1].Version = 2, 1
		}},
		{"two writers won a version", "one winner per expected version", func(w *world) {
			w.h.ops[4].Outcome, w.h.ops[4].Status = succeeded, 201
			w.h.ops[4].Receipts = []receipt{{ID: "e5", Aggregate: "a0", Version: 2, Position: 6}}
		}},
		{"a winner got another version than it expected", "one winner per expected version", func(w *world) { w.h.ops[1].Receipts[0].Version = 3 }},
		{"a position is missing", "positions are 1..N", func(w *world) { last(w).Position++ }},
		{"the head is ahead of the log", "positions are 1..N", func(w *world) { w.s.head++ }},
		{"a time falls", "recorded_at never falls", func(w *world) { last(w).Recorded = time.UnixMilli(1).UTC() }},
		{"an effect comes before its cause", "acknowledged before invoked is lower", func(w *world) {
			w.s.events[0].Position, w.s.events[2].Position = 3, 1
		}},
		{"half a batch", "batches are whole", func(w *world) { w.s.events = slices.Delete(w.s.events, 3, 4) }},
		{"an event in the middle of a batch", "batches are whole", func(w *world) { w.s.events[3].Position = 9 }},
		{"a row differs", "views equal the fold", func(w *world) { w.s.users["a0"] = userRow{Name: "Mallory"} }},
		{"a row is missing", "views equal the fold", func(w *world) { delete(w.s.payments, "p0") }},
		{"a row of nobody", "views equal the fold", func(w *world) { w.s.customers["a9"] = customerRow{Name: "Mallory", Version: 1} }},
		{"a lock is behind", "views equal the fold", func(w *world) { w.s.locks["users"]["a0"] = 1 }},
		{"a view is behind", "views are caught up", func(w *world) { w.s.positions["users"]-- }},
		{"an aggregate is parked", "views are caught up", func(w *world) { w.s.parked = 1 }},
		{"a stream leaves out a position", "readers see a contiguous run", func(w *world) {
			w.h.sessions[0].Seen = slices.Delete(w.h.sessions[0].Seen, 1, 2)
		}},
		{"a stream repeats a position", "readers see a contiguous run", func(w *world) {
			w.h.sessions[0].Seen = slices.Insert(w.h.sessions[0].Seen, 1, w.h.sessions[0].Seen[0])
		}},
		{"a reader saw what was replaced later", "readers see a contiguous run", func(w *world) { w.h.sessions[0].Seen[2].ID = "other" }},
		{"a 500", "statuses are the documented ones", func(w *world) { w.h.ops[7].Status, w.h.ops[7].Code = 500, "internal" }},
		{"a code that no page names", "statuses are the documented ones", func(w *world) { w.h.ops[4].Code = "sql-error" }},
		{"a 503 without Retry-After", "statuses are the documented ones", func(w *world) { w.h.ops[6].RetryAfter = false }},
		{"no answer", "statuses are the documented ones", func(w *world) { w.h.ops[6].Status = 0 }},
		{"a request that hangs", "nothing hangs", func(w *world) { w.h.ops[6].Ended += patience }},
	}
	caught := map[string]bool{}
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := soundWorld()
			w.do(op{Kind: "read", Outcome: succeeded, Status: 200})
			d.plant(w)
			found := judge(w.h, w.s)
			if !slices.ContainsFunc(found, func(v violation) bool { return v.check == d.check }) {
				t.Errorf("%q did not see it; found: %v", d.check, found)
			}
		})
		caught[d.check] = true
	}
	for _, c := range checks() {
		if !caught[c.name] {
			t.Errorf("no defect is planted for %q", c.name)
		}
	}
}

func TestAHistoryIsReadBackAsItWas(t *testing.T) {
	t.Parallel()
	r, err := newRecorder(filepath.Join(t.TempDir(), "history.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	w := soundWorld()
	for _, o := range w.h.ops {
		r.op(o)
	}
	r.session(w.h.sessions[0])
	h, err := r.close()
	if err != nil {
		t.Fatal(err)
	}
	if found := judge(h, w.s); len(found) > 0 || len(h.ops) != len(w.h.ops) {
		t.Errorf("read back, the history is another: %v", found)
	}
	w.h.ops[2].Receipts = nil
	if found := judge(h, w.s); len(found) > 0 {
		t.Errorf("read back, the history shares memory: %v", found)
	}
}
