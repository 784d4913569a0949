package eventsourcing_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventsourcing/estest"
	"onepg/internal/fault"
)

// A tally counts, and remembers what it was asked.
type tally struct {
	Sum      int
	Requests eventsourcing.Requests
}

type (
	fact interface{ request() eventsourcing.Request }
	base struct {
		Request eventsourcing.Request `json:"request,omitzero"`
	}
	opened struct{ base }
	added  struct {
		base

		N int `json:"n"`
	}
)

func (b base) request() eventsourcing.Request { return b.Request }

func types() []eventsourcing.EventType {
	return []eventsourcing.EventType{
		eventsourcing.Type[opened]("tally.opened", eventsourcing.Creates),
		eventsourcing.Type[added]("tally.added", eventsourcing.Changes),
	}
}

func evolve(state *tally, event fact, from eventsourcing.Recorded) (*tally, error) {
	next := tally{}
	if state != nil {
		next = *state
	}
	if e, ok := event.(added); ok {
		next.Sum += e.N
	}
	if next.Sum < 0 {
		return nil, errors.New("below zero")
	}
	next.Requests = next.Requests.With(event.request(), from.Version)
	return &next, nil
}

// add opens the tally where it has to.
type add struct {
	N       int
	Request eventsourcing.Request
}

func (c add) Decide(state *tally) ([]fact, error) {
	event := added{base{c.Request}, c.N}
	if state == nil {
		return []fact{opened{base{c.Request}}, event}, nil
	}
	if err := state.Requests.Check(c.Request); err != nil && c.Request != (eventsourcing.Request{}) {
		return nil, err
	}
	if c.N == 0 {
		return nil, nil
	}
	if state.Sum+c.N > 1_000_000 {
		return nil, fault.New(fault.Conflict, "too-much", "That is too much.")
	}
	return []fact{event}, nil
}

func decider(tb testing.TB, revision int) *eventsourcing.Decider[tally, fact] {
	tb.Helper()
	d, err := eventsourcing.NewDecider(types(), evolve, revision)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func handler(tb testing.TB, log eventsourcing.Log) *eventsourcing.Handler[tally, fact] {
	tb.Helper()
	return eventsourcing.NewHandler(eventsourcing.Commands{
		Log: log, Actor: func(context.Context) string { return "key:tester" },
	}, decider(tb, 1))
}

func memory() *estest.Memory { return estest.NewMemory(append(types(), estest.Types()...)...) }

func key(k string) eventsourcing.Request { return eventsourcing.Request{Key: k, Hash: "hash of " + k} }

func TestACommandIsRecordedAndAnswered(t *testing.T) {
	t.Parallel()
	log, id := memory(), uuid.New()
	got, err := handler(t, log).Handle(t.Context(), id, add{N: 7})
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != 2 || got.State.Sum != 7 {
		t.Errorf("got %+v", got)
	}
	stored, err := log.History(t.Context(), id, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stored, got.Events); diff != "" {
		t.Errorf("the answer differs from the log (-log +answer):\n%s", diff)
	}
	for _, e := range stored {
		if e.Actor != "key:tester" || e.SchemaVersion != 1 || e.ID.Version() != 7 {
			t.Errorf("recorded %+v", e)
		}
	}
}

func TestNothingToDoRecordsNothing(t *testing.T) {
	t.Parallel()
	log, id := memory(), uuid.New()
	h := handler(t, log)
	do(t, h, id, add{N: 7})
	if got := do(t, h, id, add{}); got.Version != 2 || got.State.Sum != 7 || len(got.Events) != 0 {
		t.Errorf("got %+v", got)
	}
}

func do(t *testing.T, h *eventsourcing.Handler[tally, fact], id uuid.UUID, c add) eventsourcing.Outcome[tally] {
	t.Helper()
	got, err := h.Handle(t.Context(), id, c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// raced is a log in which somebody else is faster, a number of times.
type raced struct {
	*estest.Memory

	races int
}

func (r *raced) Append(ctx context.Context, events []eventsourcing.Event) ([]eventsourcing.Receipt, error) {
	if r.races > 0 {
		r.races--
		other := slices.Clone(events[:1])
		other[0].ID, other[0].Payload = uuid.New(), json.RawMessage(`{"n":1}`)
		if _, err := r.Memory.Append(ctx, other); err != nil {
			return nil, err
		}
	}
	return r.Memory.Append(ctx, events)
}

func TestALostRaceIsDecidedAgainAtMostThreeTimes(t *testing.T) {
	t.Parallel()
	for races := range 6 {
		log := &raced{Memory: memory()}
		h := handler(t, log)
		id := uuid.New()
		do(t, h, id, add{N: 7})
		log.races = races
		got, err := h.Handle(t.Context(), id, add{N: 10})
		if races <= 3 {
			if err != nil || got.State.Sum != 17+races || got.Version != 3+races {
				t.Errorf("%d races: %+v, %v", races, got, err)
			}
			continue
		}
		if !fault.Is(err, "version-conflict") || log.races != races-4 {
			t.Errorf("%d races: %v with %d left", races, err, log.races)
		}
	}
}

func TestARefusalIsNotRetried(t *testing.T) {
	t.Parallel()
	h := handler(t, memory())
	id := uuid.New()
	do(t, h, id, add{N: 1_000_000})
	if _, err := h.Handle(t.Context(), id, add{N: 1}); !fault.Is(err, "too-much") {
		t.Errorf("got %v", err)
	}
}

func TestARepeatedRequestIsAnsweredAsTheFirstTime(t *testing.T) {
	t.Parallel()
	log, id := memory(), uuid.New()
	h := handler(t, log)
	first := do(t, h, id, add{N: 7, Request: key("a")})
	second := do(t, h, id, add{N: 2, Request: key("b")})
	do(t, h, id, add{N: 1})
	for name, c := range map[string]struct {
		again add
		want  eventsourcing.Outcome[tally]
	}{
		"the first":  {add{N: 7, Request: key("a")}, first},
		"the second": {add{N: 2, Request: key("b")}, second},
	} {
		if diff := cmp.Diff(c.want, do(t, h, id, c.again)); diff != "" {
			t.Errorf("%s (-then +now):\n%s", name, diff)
		}
	}
	if past, _ := log.Load(t.Context(), id, ""); len(past.Events) != 4 {
		t.Errorf("%d events are recorded, want 4", len(past.Events))
	}
	_, err := h.Handle(t.Context(), id, add{N: 8, Request: eventsourcing.Request{Key: "a", Hash: "another"}})
	if f, ok := fault.Of(err); !ok || f.Code != "idempotency-key-reused" || f.Kind != fault.Invalid {
		t.Errorf("another request under the key: %v", err)
	}
}

func TestARepeatedRequestIsAnsweredFromBeforeTheSnapshot(t *testing.T) {
	t.Parallel()
	log, id := memory(), uuid.New()
	h := handler(t, log)
	first := do(t, h, id, add{N: 7, Request: key("a")})
	for range 150 {
		do(t, h, id, add{N: 1})
	}
	if past, _ := log.Load(t.Context(), id, decider(t, 1).Schema()); past.Snapshot == nil {
		t.Fatal("there is no snapshot, so this tests nothing")
	}
	if diff := cmp.Diff(first, do(t, h, id, add{N: 7, Request: key("a")})); diff != "" {
		t.Errorf("(-then +now):\n%s", diff)
	}
}

func TestOneOf32ConcurrentRepeatsIsRecorded(t *testing.T) {
	t.Parallel()
	log, id := memory(), uuid.New()
	h := handler(t, log)
	answers := make([]eventsourcing.Outcome[tally], 32)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			var err error
			if answers[i], err = h.Handle(context.WithoutCancel(t.Context()), id, add{N: 7, Request: key("a")}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, a := range answers[1:] {
		if diff := cmp.Diff(answers[0], a); diff != "" {
			t.Errorf("answers differ:\n%s", diff)
		}
	}
	if past, _ := log.Load(t.Context(), id, ""); len(past.Events) != 2 {
		t.Errorf("%d events are recorded, want 2", len(past.Events))
	}
}

func TestTheIDOfAnotherKindOfAggregateIsRefused(t *testing.T) {
	t.Parallel()
	log, id := memory(), uuid.New()
	_, err := log.Append(t.Context(), []eventsourcing.Event{{ID: uuid.New(), AggregateID: id, Name: "thing.made", Payload: json.RawMessage(`{}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handler(t, log).Handle(t.Context(), id, add{N: 1}); !fault.Is(err, "aggregate-exists") {
		t.Errorf("got %v", err)
	}
}

func TestADecisionThatDoesNotFoldIsNotRecorded(t *testing.T) {
	t.Parallel()
	log, id := memory(), uuid.New()
	if _, err := handler(t, log).Handle(t.Context(), id, add{N: -1}); err == nil {
		t.Error("it was accepted")
	}
	if past, _ := log.Load(t.Context(), id, ""); len(past.Events) > 0 {
		t.Errorf("recorded %+v", past.Events)
	}
}

func TestASnapshotIsTakenEvery100EventsAndUsed(t *testing.T) {
	t.Parallel()
	log, id := memory(), uuid.New()
	h, schema := handler(t, log), decider(t, 1).Schema()
	for range 249 { // 250 events with the first
		do(t, h, id, add{N: 1})
	}
	past, _ := log.Load(t.Context(), id, schema)
	if past.Snapshot == nil || past.Snapshot.Version != 200 || len(past.Events) != 50 {
		t.Fatalf("got %+v and %d events", past.Snapshot, len(past.Events))
	}
	past.Snapshot.State = json.RawMessage(`{"Sum":1000}`)
	past.Snapshot.Version = 240
	log.SaveSnapshot(*past.Snapshot)
	if got := do(t, h, id, add{N: 1}); got.State.Sum != 1011 {
		t.Errorf("the snapshot is not used: the sum is %d", got.State.Sum)
	}
}

func TestASnapshotThatCannotBeUsedCostsOnlyTime(t *testing.T) {
	t.Parallel()
	schema := decider(t, 1).Schema()
	for name, s := range map[string]eventsourcing.Snapshot{
		"broken":            {Version: 2, Schema: schema, State: json.RawMessage(`"broken"`)},
		"of another schema": {Version: 2, Schema: decider(t, 2).Schema(), State: json.RawMessage(`{"Sum":1000}`)},
	} {
		log, id := memory(), uuid.New()
		h := handler(t, log)
		do(t, h, id, add{N: 1})
		s.AggregateID = id
		log.SaveSnapshot(s)
		if got := do(t, h, id, add{N: 1}); got.State.Sum != 2 {
			t.Errorf("%s: the sum is %d", name, got.State.Sum)
		}
	}
}

func TestASchemaChangesWithTheStateTheEventsAndTheRevision(t *testing.T) {
	t.Parallel()
	type wider struct {
		tally

		Count int
	}
	d := decider(t, 1)
	if again := decider(t, 1); again.Schema() != d.Schema() {
		t.Error("the schema differs from itself")
	}
	other, err := eventsourcing.NewDecider(types(), func(s *wider, _ fact, _ eventsourcing.Recorded) (*wider, error) { return s, nil }, 1)
	if err != nil {
		t.Fatal(err)
	}
	lifted := types()
	lifted[1].Upcasts = []eventsourcing.Upcast{func(p json.RawMessage) (json.RawMessage, error) { return p, nil }}
	newer, err := eventsourcing.NewDecider(lifted, evolve, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, schema := range map[string]string{"state": other.Schema(), "events": newer.Schema(), "revision": decider(t, 2).Schema()} {
		if schema == d.Schema() {
			t.Errorf("another %s has the same schema", name)
		}
	}
}

func TestADeciderRefusesEventsThatDoNotFit(t *testing.T) {
	t.Parallel()
	type stranger struct{ N int }
	for name, list := range map[string][]eventsourcing.EventType{
		"none at all":       nil,
		"another aggregate": append(types(), eventsourcing.Type[opened]("other.opened", eventsourcing.Creates)),
		"a shared payload":  append(types(), eventsourcing.Type[added]("tally.raised", eventsourcing.Changes)),
		"a foreign payload": append(types(), eventsourcing.Type[stranger]("tally.raised", eventsourcing.Changes)),
		"a malformed name":  append(types(), eventsourcing.Type[stranger]("tally", eventsourcing.Changes)),
	} {
		if _, err := eventsourcing.NewDecider(list, evolve, 1); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestFoldLiftsOldEvents(t *testing.T) {
	t.Parallel()
	list := types()
	list[1].Upcasts = []eventsourcing.Upcast{func(p json.RawMessage) (json.RawMessage, error) {
		var n int
		if err := json.Unmarshal(p, &n); err != nil {
			return nil, fmt.Errorf("version 1: %w", err)
		}
		return json.Marshal(added{N: n})
	}}
	d, err := eventsourcing.NewDecider(list, evolve, 1)
	if err != nil {
		t.Fatal(err)
	}
	state, err := d.Fold(&tally{Sum: 1}, []eventsourcing.Recorded{
		{Name: "tally.added", SchemaVersion: 1, Version: 2, Payload: json.RawMessage(`41`)},
		{Name: "tally.added", SchemaVersion: 2, Version: 3, Payload: json.RawMessage(`{"n":100}`)},
	})
	if err != nil || state.Sum != 142 {
		t.Errorf("got %+v, %v", state, err)
	}
	_, err = d.Fold(state, []eventsourcing.Recorded{{Name: "tally.added", SchemaVersion: 3, Payload: json.RawMessage(`{}`)}})
	if !errors.Is(err, eventsourcing.ErrUnknown) {
		t.Errorf("a newer version: %v", err)
	}
}
