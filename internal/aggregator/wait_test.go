package aggregator_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/eventsourcing"
	"onepg/internal/postgres/pgtest"
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
	if _, shown, _ := idle.WaitVersion(t.Context(), "things", id, 2, blind); !shown {
		t.Error("version 2 is there and was not seen")
	}
}

// blind is a reader who never sees the row, as one of a row that was deleted.
func blind(context.Context) (bool, error) { return false, nil }

// Who recorded an event knows that a view has not come there, and need not look for it;
// unless another replica took the view there, of which it may not have heard.
func TestWhatWasRecordedHereIsNotLookedForTooEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	here, other := w.replica(types()), w.replica(types())
	id, stranger := uuid.New(), uuid.New()
	looks := 0
	look := func(ctx context.Context) (bool, error) {
		looks++
		return false, ctx.Err()
	}
	wait := func(id uuid.UUID, version int) bool {
		t.Helper()
		looks = 0
		_, shown, err := here.WaitVersion(t.Context(), "things", id, version, look)
		if err != nil {
			t.Error(err)
		}
		return shown
	}
	w.append(id, made{}, added{1})
	here.Recorded(w.Recorded())
	w.append(stranger, made{})
	if err := other.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !wait(id, 2) || looks > 0 {
		t.Errorf("another replica applied what was recorded here: %d looks", looks)
	}
	if !wait(stranger, 1) || looks != 1 {
		t.Errorf("what was recorded elsewhere may be there: %d looks", looks)
	}
	if err := here.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !wait(id, 2) || looks != 1 {
		t.Errorf("the view has come there: %d looks", looks)
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
	if _, shown, _ := r.WaitVersion(ctx, "things", sick, 3, blind); shown {
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
	if _, shown, _ := r.WaitVersion(ctx, "things", uuid.New(), 1, blind); shown {
		t.Error("nobody's version counts as shown")
	}
}

// What another replica parked after this one began to look, but before it held the
// view, is not shown either.
func TestWhatIsParkedWhileAViewIsClaimedIsNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sick := uuid.New()
	receipts := w.receipts(sick, made{}, added{13})
	r := w.replica(types())
	var err error
	w.parkDuring(func() { err = r.CatchUp(t.Context()) })
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := w.waits(r, 300*time.Millisecond, receipts...); ok {
		t.Error("an event that is parked counts as shown")
	}
	if ok, _ := w.waits(r, 10*time.Second, receipts[:1]...); !ok {
		t.Error("the event before it is shown")
	}
}

// A rebuild, which has no locks, believes what its claim says of what is parked.
func TestAClaimKnowsWhatWasParkedWhileItWaited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.receipts(uuid.New(), made{}, added{13})
	var claimed []string
	w.parkDuring(func() {
		claimed = w.Strings(`SELECT from_position || ' ' || waiting FROM view_claim('things', NULL, 'thing', 1, 0)`)
	})
	if !slices.Equal(claimed, []string{"2 true"}) {
		t.Errorf("the claim says %q", claimed)
	}
}

// parkDuring lets claim begin and get its snapshot, but not the view's row; then
// another replica commits a batch in which the second event was parked.
func (w *world) parkDuring(claim func()) {
	w.t.Helper()
	ctx := w.t.Context()
	w.Exec(`INSERT INTO view_positions (view, revision) VALUES ('things', 1)`)
	w.Exec(`ALTER TABLE view_positions RENAME TO real_positions`)
	w.Exec(`CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql AS
	  $$BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN true; END$$`)
	w.Exec(`CREATE VIEW view_positions AS SELECT * FROM real_positions WHERE gate()`)
	tx, err := w.DB.BeginTx(ctx, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(7)`); err != nil {
		w.t.Fatal(err)
	}
	var claiming sync.WaitGroup
	claiming.Go(claim)
	for len(w.Strings(`SELECT pid::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
	  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)) == 0 {
		if ctx.Err() != nil {
			w.t.Fatal("nobody claims the view")
		}
	}
	for _, query := range []string{
		`INSERT INTO view_parked (view, aggregate_id, event_id, "position", version, error, attempts)
		 SELECT 'things', aggregate_id, id, "position", version, '', 5 FROM events WHERE version = 2`,
		`INSERT INTO view_locks (view, aggregate_id, version) SELECT 'things', aggregate_id, 1 FROM events WHERE version = 1`,
		`UPDATE real_positions SET "position" = 2, updated_at = clock_timestamp() WHERE view = 'things'`,
	} {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		w.t.Fatal(err)
	}
	claiming.Wait()
}

// An older backup takes the log's place while the program runs: positions that a
// view had shown are given anew.
func TestAnotherLogsPositionsAreNotTakenForShown(t *testing.T) {
	t.Parallel()
	for _, parked := range []bool{false, true} {
		w := newWorld(t)
		r := w.replica(types())
		w.receipts(uuid.New(), made{}, added{1}, added{2})
		if err := r.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.rewind()
		if parked {
			w.Exec(`INSERT INTO view_parked (view, aggregate_id, event_id, "position", version, error, attempts)
			 VALUES ('things', gen_random_uuid(), gen_random_uuid(), 1, 1, '', 5)`)
		}
		again := w.receipts(uuid.New(), made{})
		if again[0].Position > 3 {
			t.Fatalf("position %d was never shown", again[0].Position)
		}
		if ok, _ := w.waits(r, 600*time.Millisecond, again...); ok {
			t.Error("an event of another log counts as shown before the view has looked")
		}
		if parked {
			// A look that finds something parked does not make the old one good.
			if err := r.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			ghost := again[0]
			ghost.AggregateID, ghost.RecordedAt = uuid.New(), eventsourcing.Time{}
			if ok, _ := w.waits(r, 300*time.Millisecond, ghost); ok {
				t.Error("what nobody folded counts as shown while something is parked")
			}
		}
		w.Start(r)
		if ok, _ := w.waits(r, 10*time.Second, again...); !ok {
			t.Error("the new event is never shown")
		}
	}
}

// rewind takes the log and the view back to one event, as a restore does.
func (w *world) rewind() {
	w.t.Helper()
	w.Exec(`ALTER TABLE events DISABLE TRIGGER USER`)
	w.Exec(`DELETE FROM events WHERE "position" > 1`)
	w.Exec(`ALTER TABLE events ENABLE TRIGGER USER`)
	w.Exec(`UPDATE event_log_head SET "position" = 1`)
	w.Exec(`UPDATE view_locks SET version = 1`)
	w.Exec(`UPDATE things SET version = 1, sum = 0`)
	w.Exec(`UPDATE view_positions SET "position" = 1`)
}

// Who waits for what never comes asks less and less often, however often the view
// moves, or is said to.
func TestWaitingInVainAsksSeldom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sent := new(pgtest.Sent)
	r := w.Runner(aggregatortest.Replica{
		Known: types(), Views: []aggregator.View{things()}, DB: w.Open("watched", 2).WithQueryHook(sent),
	})
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := len(sent.Queries)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	done := make(chan bool)
	go func() {
		_, shown, _ := r.WaitVersion(ctx, "things", uuid.New(), 1, blind)
		done <- shown
	}()
	for n := 1; ; n++ {
		select {
		case seen := <-done:
			if asked := len(sent.Queries) - before; seen || asked > 120 {
				t.Errorf("%t, after it asked %d times", seen, asked)
			}
			return
		default:
			r.Heard(fmt.Sprint("things,", n))
			runtime.Gosched()
		}
	}
}

// A backup may be from before there was a view, or somebody deletes its row.
func TestAViewWhoseRowIsGoneBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run(types())
	id := uuid.New()
	if ok, _ := w.waits(r, 10*time.Second, w.receipts(id, made{}, added{1})...); !ok {
		t.Fatal("the view does not run")
	}
	w.Exec(`DELETE FROM view_positions`)
	if ok, _ := w.waits(r, 20*time.Second, w.receipts(id, added{2})...); !ok || w.sums()[id] != 3 {
		t.Errorf("%t, the sum is %d", ok, w.sums()[id])
	}
}
