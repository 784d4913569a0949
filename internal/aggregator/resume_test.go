package aggregator_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/eventsourcing"
	"onepg/internal/postgres/pgtest"
)

// noting makes a replica and notes the statements that it sends.
func (w *world) noting(alone time.Duration) (*aggregator.Runner, *pgtest.Sent) {
	w.t.Helper()
	sent := new(pgtest.Sent)
	return w.Runner(aggregatortest.Replica{
		Known: types(), Views: []aggregator.View{things()}, Alone: alone, DB: w.Open("noting", 2).WithQueryHook(sent),
	}), sent
}

// count gives how many of the statements have the words in them, and forgets them all.
func count(sent *pgtest.Sent, words string) (n int) {
	for _, query := range sent.Queries {
		if strings.Contains(query, words) {
			n++
		}
	}
	sent.Queries = nil
	return n
}

func (w *world) catchUp(r *aggregator.Runner) {
	w.t.Helper()
	if err := r.CatchUp(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// resuming is a replica that has read a thing and was told of the next event, which
// makes the sum 2.
func (w *world) resuming(alone time.Duration) (r *aggregator.Runner, sent *pgtest.Sent, id uuid.UUID) {
	w.t.Helper()
	r, sent = w.noting(alone)
	id = uuid.New()
	w.append(id, made{})
	w.catchUp(r)
	w.append(id, added{2})
	r.Recorded(w.Recorded())
	count(sent, "")
	return r, sent, id
}

// resumes tells the replica of all that was appended, lets it catch up, and gives how
// often it tried to resume.
func (w *world) resumes(r *aggregator.Runner, sent *pgtest.Sent) int {
	w.t.Helper()
	r.Recorded(w.Recorded())
	count(sent, "")
	w.catchUp(r)
	return count(sent, "view_resume")
}

func TestWhatAProcessRecordedItDoesNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, sent, id := w.resuming(0)
	w.append(id, added{3}) // by somebody else: it was not told
	w.catchUp(r)
	if got := w.sums()[id]; got != 5 {
		t.Errorf("the sum is %d, want 5", got)
	}
	if n := count(sent, "view_resume"); n != 1 {
		t.Errorf("%d batches were of what it remembers", n)
	}
	w.catchUp(r)
	if n := count(sent, "view_resume"); n != 0 {
		t.Errorf("%d batches are resumed with nothing", n)
	}
}

// Who takes turns with another replica reads, because it would often be refused.
func TestAReplicaThatIsNotAloneReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, sent, id := w.resuming(time.Hour)
	w.catchUp(r)
	if n := count(sent, "view_resume"); n != 1 {
		t.Errorf("it is alone, and resumed %d times", n)
	}
	w.append(id, added{3})
	w.catchUp(w.replica(types()))
	r.Recorded(w.Recorded())
	w.catchUp(r) // it sees where the other one took the view
	w.append(id, added{4})
	if n := w.resumes(r, sent); n != 0 || w.sums()[id] != 9 {
		t.Errorf("it is not alone, and resumed %d times; the sum is %d", n, w.sums()[id])
	}
}

// Whatever happened to a view since it was left, what is remembered does no harm.
func TestWhatIsRememberedIsNotForcedOnAView(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		meanwhile func(w *world, id uuid.UUID)
		want      int // the sum afterwards
	}{
		"another replica applied it": {func(w *world, _ uuid.UUID) { w.catchUp(w.replica(types())) }, 2},
		"another replica applied it and more": {func(w *world, id uuid.UUID) {
			w.append(id, added{3})
			w.catchUp(w.replica(types()))
		}, 5},
		"it was halted":             {func(w *world, _ uuid.UUID) { w.Exec("UPDATE view_positions SET halted = 'by hand'") }, 0},
		"it is of a newer revision": {func(w *world, _ uuid.UUID) { w.Exec("UPDATE view_positions SET revision = 2") }, 0},
		"its aggregate was parked": {func(w *world, id uuid.UUID) {
			w.Exec(`INSERT INTO view_parked (view, aggregate_id, event_id, "position", version, error, attempts, retry_at)
			 VALUES ('things', ?, gen_random_uuid(), 2, 2, '', 1, now() + interval '1 hour')`, id)
		}, 0},
		"its row is gone": {func(w *world, _ uuid.UUID) { w.Exec("DELETE FROM view_positions") }, 0},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r, sent, id := w.resuming(0)
			c.meanwhile(w, id)
			w.catchUp(r)
			if got := w.sums()[id]; got != c.want {
				t.Errorf("the sum is %d, want %d", got, c.want)
			}
			if count(sent, "view_resume") != 1 {
				t.Error("it was not tried")
			}
		})
	}
}

// They move a view on, from where it stands. Nothing is applied, so that no lock refuses it
// where it does not stand there any more.
func TestEventsOfOtherKindsAreRememberedToo(t *testing.T) {
	t.Parallel()
	for what, back := range map[string]bool{"it stands where it was left": false, "it was taken back": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r, sent := w.noting(0)
			id, want := uuid.New(), 0
			w.append(id, made{})
			w.catchUp(r)
			w.append(id, added{2})
			w.Misremember(func(e *eventsourcing.Recorded) { e.Aggregate = "other" })
			r.Recorded(w.Recorded())
			if back {
				w.Exec("TRUNCATE things, view_locks")
				w.Exec(`UPDATE view_positions SET "position" = 0`)
				want = 2 // because it is read
			}
			count(sent, "")
			w.catchUp(r)
			if got := w.sums()[id]; got != want || w.status(r).Position != 2 || count(sent, "view_resume") != 1 {
				t.Errorf("the sum is %d, want %d, at position %d", got, want, w.status(r).Position)
			}
		})
	}
}

// It would be refused, at every event.
func TestAViewWithSomethingParkedIsNotResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, sent, id := w.resuming(0)
	w.append(uuid.New(), made{}, added{13})
	w.catchUp(r)
	w.append(id, added{3})
	if n := w.resumes(r, sent); n != 0 || w.sums()[id] != 5 {
		t.Errorf("it was tried %d times; the sum is %d", n, w.sums()[id])
	}
}

// Whatever is wrong with it, a view does not fail at every other batch.
func TestWhatFailedIsNotResumedSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, sent, id := w.resuming(time.Hour)
	w.Exec("ALTER FUNCTION view_resume RENAME TO view_gone")
	if err := r.CatchUp(t.Context()); err == nil {
		t.Fatal("it did not fail")
	}
	w.catchUp(r)
	w.append(id, added{3})
	if n := w.resumes(r, sent); n != 0 || w.sums()[id] != 5 {
		t.Errorf("it was tried %d times; the sum is %d", n, w.sums()[id])
	}
}

// Who only looks holds a view for a moment, and the swap of a rebuild for longer.
func TestAViewThatIsHeldIsResumedThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, sent, id := w.resuming(0)
	tx, err := w.Open("holding", 1).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.NewRaw("SELECT FROM view_positions FOR UPDATE").Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.CatchUp(t.Context()) }()
	for len(w.Strings("SELECT 'waits' FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")) == 0 {
		if t.Context().Err() != nil || len(done) > 0 {
			t.Fatal("it does not wait")
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := count(sent, "view_resume"); n != 1 || w.sums()[id] != 2 {
		t.Errorf("it was resumed %d times; the sum is %d", n, w.sums()[id])
	}
}

// A log that was restored to an earlier state has other events at the same positions.
func TestEventsOfAnotherLogAreNotApplied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, sent := w.noting(0)
	id := uuid.New()
	w.append(id, made{})
	w.catchUp(r)
	w.append(id, added{2})
	w.append(id, added{3})
	w.Misremember(func(e *eventsourcing.Recorded) {
		if e.Version == 2 { // what comes after it is of the log that is there
			e.ID, e.Payload = uuid.New(), json.RawMessage(`{"n":100}`)
		}
	})
	if n, got := w.resumes(r, sent), w.sums()[id]; n != 1 || got != 5 {
		t.Errorf("the sum is %d, want 5; it was tried %d times", got, n)
	}
}
