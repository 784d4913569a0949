package aggregator_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/eventsourcing"
)

// waits runs Wait for up to a time and says what came of it and how long it took.
func (w *world) waits(r *aggregator.Runner, limit time.Duration, events ...eventsourcing.Receipt) (bool, time.Duration) {
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	start := time.Now()
	return r.Wait(ctx, []string{"things"}, events), time.Since(start)
}

func (w *world) receipts(id uuid.UUID, payloads ...event) []eventsourcing.Receipt {
	w.t.Helper()
	var events []eventsourcing.Event
	for _, p := range payloads {
		events = append(events, named(w.t, id, p))
	}
	receipts, err := w.Log.Append(w.t.Context(), events)
	if err != nil {
		w.t.Fatal(err)
	}
	return receipts
}

// One replica waits for what another one does, with and without hearing of it.
func TestWaitingSeesWhatAnotherReplicaDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(types())
	idle := w.replica(types())
	id := uuid.New()
	if ok, _ := w.waits(idle, 10*time.Second, w.receipts(id, made{}, added{1})...); !ok || w.sums()[id] != 1 {
		t.Errorf("waited in vain: %t, sums %v", ok, w.sums())
	}
	if !idle.WaitVersion(t.Context(), "things", id, 2) {
		t.Error("version 2 is there and was not seen")
	}
}

func TestANotificationEndsAWaitAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, idle := w.replica(types()), w.replica(types())
	// Known to the idle one before anything is waited for.
	if err := idle.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	receipts := w.receipts(uuid.New(), made{})
	if err := worker.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	idle.Heard("things,1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no look into the database on a timer can help it
	if idle.Wait(ctx, []string{"things"}, receipts) {
		t.Error("an ended context counts as shown")
	}
	if ok, took := w.waits(idle, 10*time.Second, receipts...); !ok || took > 200*time.Millisecond {
		t.Errorf("%t after %v", ok, took)
	}
}

// What is parked has been read but is not shown.
func TestWaitingForAParkedAggregateIsInVainUntilItIsFreed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica(types())
	sick := uuid.New()
	receipts := w.receipts(sick, made{}, added{13}, added{1})
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ok, _ := w.waits(r, time.Second, receipts[:1]...); !ok {
		t.Error("the first event is shown")
	}
	if ok, took := w.waits(r, 600*time.Millisecond, receipts...); ok || took < 600*time.Millisecond || took > 5*time.Second {
		t.Errorf("%t after %v, want in vain after 600ms", ok, took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if r.WaitVersion(ctx, "things", sick, 3) {
		t.Error("version 3 counts as shown")
	}
	w.due()
	w.Start(w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{mended()}}))
	if ok, _ := w.waits(r, 10*time.Second, receipts...); !ok {
		t.Error("it is freed and counts as not shown")
	}
}

// Who follows a view asks for its position after each hint. A lie must not be a
// hint for ever.
func TestALieIsBelievedUntilSomebodyLooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica(types())
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.Heard("things,9223372036854775807")
	if !r.WaitPosition(ended, []string{"things"}, 1) {
		t.Error("the hint is not taken")
	}
	if position, err := r.Position(t.Context(), things()); err != nil || position != 0 {
		t.Errorf("the position is %d, %v", position, err)
	}
	if r.WaitPosition(ended, []string{"things"}, 1) {
		t.Error("the lie outlives the look")
	}
	w.receipts(uuid.New(), made{})
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if position, err := r.Position(t.Context(), things()); err != nil || position != 1 || !r.WaitPosition(ended, []string{"things"}, 1) {
		t.Errorf("the truth is forgotten: %d, %v", position, err)
	}
}

// A notification may come from anybody.
func TestALieOnTheChannelDeceivesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica(types())
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{"", ",", "things", "things,", "things,x", "nothings,7", "things,-1", "things,9223372036854775808", "things,9223372036854775807"} {
		r.Heard(payload)
	}
	receipts := w.receipts(uuid.New(), made{})
	if ok, _ := w.waits(r, 400*time.Millisecond, receipts...); ok {
		t.Error("the view has not read anything and counts as showing it")
	}
	w.Start(r)
	if ok, _ := w.waits(r, 10*time.Second, receipts...); !ok {
		t.Error("the truth was not found again")
	}
}

func TestWaitingOnEmptyViewsIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica(types())
	if ok, _ := w.waits(r, time.Second); !ok {
		t.Error("there is nothing to wait for")
	}
	if !r.Wait(t.Context(), nil, []eventsourcing.Receipt{{Position: 5}}) {
		t.Error("there is no view to wait for")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if r.WaitVersion(ctx, "things", uuid.New(), 1) {
		t.Error("nobody's version counts as shown")
	}
}
