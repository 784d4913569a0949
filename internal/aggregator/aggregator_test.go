package aggregator_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/eventsourcing"
)

// thing is the row of the view under test: a sum, so that an event applied
// twice or not at all shows.
type thing struct {
	ID      uuid.UUID `bun:"id,pk,type:uuid"`
	Sum     int       `bun:"sum,type:integer"`
	Version int       `bun:"version,type:integer"`
}

type event interface{ aboutThing() }

type made struct{}

type added struct {
	N int `json:"n"`
}

type broken struct{}

func (made) aboutThing()   {}
func (added) aboutThing()  {}
func (broken) aboutThing() {}

var errPoison = errors.New("thirteens are not added")

// evolve adds up, refuses multiples of 13 and panics at 666.
func evolve(t *thing, e event, from eventsourcing.Recorded) (*thing, error) {
	switch e := e.(type) {
	case made:
		return &thing{ID: from.AggregateID, Version: from.Version}, nil
	case added:
		switch {
		case e.N == 666:
			panic("the number of the beast")
		case e.N > 0 && e.N%13 == 0:
			return nil, errPoison
		}
		next := *t
		next.Sum += e.N
		next.Version = from.Version
		return &next, nil
	default:
		return nil, nil //nolint:nilnil // the thing is no more
	}
}

func types() []eventsourcing.EventType {
	return []eventsourcing.EventType{
		eventsourcing.Type[made]("thing.made", eventsourcing.Creates),
		eventsourcing.Type[added]("thing.added", eventsourcing.Changes),
		eventsourcing.Type[broken]("thing.broken", eventsourcing.Ends),
	}
}

// table is the table of the view under test.
const table = "CREATE TABLE things (id uuid PRIMARY KEY, sum integer NOT NULL, version integer NOT NULL)"

// things is the view under test.
func things() aggregator.View { return aggregator.Define[thing, event]("things", "thing", evolve) }

// world is a database with the table of the view under test.
type world struct {
	*aggregatortest.World

	t *testing.T
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{World: aggregatortest.NewWorld(t, types()), t: t}
	w.Exec(table)
	return w
}

// replica makes one that knows the events and keeps the view.
func (w *world) replica(known []eventsourcing.EventType) *aggregator.Runner {
	w.t.Helper()
	return w.Runner(aggregatortest.Replica{Known: known, Views: []aggregator.View{things()}})
}

// run starts a replica and stops it with the test.
func (w *world) run(known []eventsourcing.EventType) *aggregator.Runner {
	w.t.Helper()
	r := w.replica(known)
	w.Start(r)
	return r
}

// named gives a payload its event.
func named(t *testing.T, id uuid.UUID, p event) eventsourcing.Event {
	t.Helper()
	body, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	name := "thing.made"
	switch p.(type) {
	case added:
		name = "thing.added"
	case broken:
		name = "thing.broken"
	}
	return eventsourcing.Event{ID: uuid.New(), AggregateID: id, Name: name, Payload: body}
}

// append records a thing's events and gives the last position.
func (w *world) append(id uuid.UUID, payloads ...event) int64 {
	w.t.Helper()
	var events []eventsourcing.Event
	for _, p := range payloads {
		events = append(events, named(w.t, id, p))
	}
	receipts, err := w.Log.Append(w.t.Context(), events)
	if err != nil {
		w.t.Fatal(err)
	}
	return receipts[len(receipts)-1].Position
}

// status is how the view stands.
func (w *world) status(r *aggregator.Runner) aggregator.Status {
	w.t.Helper()
	all, err := r.Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return all[0]
}

// until waits for a state of the view.
func (w *world) until(r *aggregator.Runner, what string, ok func(aggregator.Status) bool) {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		s := w.status(r)
		if ok(s) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the view is not %s: %+v", what, s)
		}
	}
}

func (w *world) await(r *aggregator.Runner, position int64) {
	w.t.Helper()
	w.until(r, "at the position", func(s aggregator.Status) bool { return s.Position >= position })
}

// sums are the rows as the view shows them.
func (w *world) sums() map[uuid.UUID]int {
	w.t.Helper()
	var rows []thing
	if err := w.DB.NewSelect().Model(&rows).Scan(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	sums := make(map[uuid.UUID]int)
	for _, r := range rows {
		sums[r.ID] = r.Sum
	}
	return sums
}

func TestEventsBecomeRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := uuid.New(), uuid.New()
	w.append(a, made{}, added{1}, added{2})
	r := w.run(types())
	w.append(b, made{}, added{5})
	w.await(r, w.append(b, added{6}, broken{}))
	if got := w.sums(); len(got) != 1 || got[a] != 3 {
		t.Errorf("rows %v, want %s: 3 alone, the other was broken", got, a)
	}
}

// P7, with several replicas at once on the same view.
func TestReplicasApplyEachEventOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.run(types()), w.run(types())
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	for _, id := range ids {
		w.append(id, made{})
	}
	var last int64
	for range 200 {
		for _, id := range ids {
			last = w.append(id, added{1}, added{2})
		}
	}
	w.await(one, last)
	w.await(two, last)
	for id, sum := range w.sums() {
		if sum != 600 {
			t.Errorf("thing %s is %d, want 600", id, sum)
		}
	}
}

// P11: a poison event stops its aggregate and nobody else.
func TestAPoisonEventStopsOnlyItsAggregate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run(types())
	sick, dead, well := uuid.New(), uuid.New(), uuid.New()
	w.append(sick, made{}, added{1}, added{13}, added{2})
	w.append(dead, made{}, added{666})
	w.await(r, w.append(well, made{}, added{7}))
	if got := w.sums(); got[sick] != 1 || got[well] != 7 {
		t.Errorf("rows %v, want %s: 1 and %s: 7", got, sick, well)
	}
	if got := w.status(r).Parked; got != 2 {
		t.Errorf("%d parked, want 2", got)
	}
}

// A replica that does not know an event leaves the view to one that does.
func TestAnUnknownEventWaitsForANewerReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.run(types()[:1])
	id := uuid.New()
	last := w.append(id, made{}, added{4})
	w.await(old, last-1)
	if got := w.sums(); got[id] != 0 {
		t.Errorf("rows %v, want the thing as it was made", got)
	}
	if s := w.status(old); !strings.Contains(s.Reason, "waits for a newer program to apply thing.added version 1 at position 2") {
		t.Errorf("%+v: does not say what it waits for", s)
	}
	w.await(w.run(types()), last)
	if got := w.sums(); got[id] != 4 {
		t.Errorf("rows %v, want %s: 4", got, id)
	}
}

// An unknown event, or one that belongs to nobody here, holds up its own view
// and no other.
func TestAnUnknownEventDoesNotHoldUpOtherViews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Exec("CREATE TABLE others (LIKE things INCLUDING ALL)")
	w.Exec("INSERT INTO event_types (name, schema_version, lifecycle) VALUES ('other.made', 1, 'creates'), ('stray.made', 1, 'creates')")
	other := aggregator.Define[thing, event]("others", "other", evolve)
	known := []eventsourcing.EventType{types()[0], eventsourcing.Type[made]("other.made", eventsourcing.Creates)}
	r := w.Runner(aggregatortest.Replica{Known: known, Views: []aggregator.View{things(), other}})
	w.append(uuid.New(), made{}, added{1}) // the second is not known
	w.Exec("SELECT * FROM append_events(ARRAY[?, ?]::uuid[], ARRAY[?, ?]::uuid[], ARRAY['stray.made', 'other.made'], ARRAY['{}', '{}']::json[])",
		uuid.New(), uuid.New(), uuid.New(), uuid.New())
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := r.Status(t.Context())
	if err != nil || all[0].Position != 1 || all[0].Reason == "" || all[1].Position != 4 || all[1].Reason != "" {
		t.Errorf("%+v, %v", all, err)
	}
}

// With nobody at work the database still tells that the head moves and the view
// does not.
func TestStatusTellsOfAViewThatDoesNotMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica(types())
	if s := w.status(r); s.Status != "live" || s.LagEvents != 0 || s.LagSeconds != 0 {
		t.Errorf("%+v: nothing is there to be late for", s)
	}
	w.append(uuid.New(), made{}, added{1})
	if s := w.status(r); s.LagEvents != 2 || s.HeadPosition != 2 || s.Position != 0 {
		t.Errorf("%+v", s)
	}
	w.until(r, "behind", func(s aggregator.Status) bool { return s.Status == "behind" && s.LagSeconds > 2 })
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := w.status(r); s.Status != "live" || s.LagEvents != 0 || s.LagSeconds != 0 {
		t.Errorf("%+v: it has caught up", s)
	}
}
