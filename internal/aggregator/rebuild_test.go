package aggregator_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

func quietly(int64, int64) {}

// many appends things that are made and added to, and gives the last position.
func (w *world) many(n int) int64 {
	w.t.Helper()
	var last int64
	for range n {
		last = w.append(uuid.New(), slices.Concat([]event{made{}}, slices.Repeat([]event{added{1}}, 99))...)
	}
	return last
}

func (w *world) rebuild(r *aggregator.Runner) {
	w.t.Helper()
	if err := r.FollowRebuild(w.t.Context(), "things", quietly); err != nil {
		w.t.Fatal(err)
	}
}

// looks is everything about the table that the swap has to carry over.
func (w *world) looks() []string {
	return w.Strings(`SELECT 'index ' || pg_get_indexdef(indexrelid) || obj_description(indexrelid) FROM pg_index WHERE indrelid = 'things'::regclass
	 UNION ALL SELECT 'index ' || pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'things'::regclass
	 UNION ALL SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = 'things'::regclass
	 UNION ALL SELECT format('table %s %s %s', obj_description(oid), array(SELECT format('%s %s %s', grantee::regrole, privilege_type, is_grantable) FROM aclexplode(relacl) ORDER BY 1), reloptions) FROM pg_class WHERE oid = 'things'::regclass
	 UNION ALL SELECT format('column %s %s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum),
	                         array(SELECT format('%s %s', grantee::regrole, privilege_type) FROM aclexplode(attacl) ORDER BY 1))
	             FROM pg_attribute WHERE attrelid = 'things'::regclass AND attnum > 0
	 UNION ALL SELECT 'default ' || pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'things'::regclass
	 UNION ALL SELECT 'relation ' || relname FROM pg_class WHERE relname ~ 'thing|rebuild'
	 ORDER BY 1`)
}

func TestTheRebuiltTableLooksLikeTheLiveOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, s := range []string{
		`ALTER TABLE things ADD note text DEFAULT 'none', ADD CONSTRAINT "sum is positive" CHECK (sum >= 0)`,
		`ALTER TABLE things ADD CONSTRAINT things_note_key UNIQUE (note, id)`,
		`CREATE INDEX things_sum_idx ON things (sum DESC, id) INCLUDE (version) WHERE sum > 3`,
		`CREATE UNIQUE INDEX "Odd Name" ON things (lower(note) COLLATE "C", id)`,
		`COMMENT ON TABLE things IS 'it''s a view'`, `COMMENT ON COLUMN things.sum IS 'of all'`, `COMMENT ON INDEX things_sum_idx IS 'for sums'`,
		`ALTER TABLE things SET (fillfactor = 90)`,
		`GRANT SELECT ON things TO pg_monitor WITH GRANT OPTION`, `GRANT SELECT ON things TO PUBLIC`, `GRANT UPDATE (note) ON things TO pg_signal_backend`,
	} {
		w.Exec(s)
	}
	last := w.many(3)
	r := w.replica(types())
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, rows := w.looks(), w.sums()
	w.rebuild(r)
	if after := w.looks(); !slices.Equal(before, after) {
		t.Errorf("before\n%s\nafter\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	if got := w.sums(); len(got) != len(rows) || w.status(r).Position != last || w.status(r).Rebuild != nil {
		t.Errorf("%d rows, want %d; %+v", len(got), len(rows), w.status(r))
	}
}

// P12: during rebuilds under load no reader ever sees fewer rows than before, or
// waits for long.
func TestReadersAndWritersDoNotNoticeARebuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.many(20)
	r := w.run(types())
	ctx, stop := context.WithCancel(t.Context())
	var load errgroup.Group
	var slowest, idle atomic.Int64 // the latter of what waits for no table: the machine's own stalls
	load.Go(func() error {
		for ctx.Err() == nil {
			w.append(uuid.New(), made{}, added{1})
		}
		return nil
	})
	readers := w.Open("readers", 2)
	for range 2 {
		load.Go(func() error {
			seen := 0
			for ctx.Err() == nil {
				start := time.Now()
				var rows int
				if err := readers.NewRaw("SELECT count(*) FROM things").Scan(t.Context(), &rows); err != nil {
					return err
				}
				if rows < seen {
					return errors.New("a reader saw rows vanish")
				}
				seen = rows
				slowest.Store(max(slowest.Load(), int64(time.Since(start))))
			}
			return nil
		})
	}
	bystander := w.Open("bystander", 1)
	load.Go(func() error {
		for ctx.Err() == nil {
			start := time.Now()
			if _, err := bystander.Exec("SELECT pg_sleep(0.001)"); err != nil {
				return err
			}
			idle.Store(max(idle.Load(), int64(time.Since(start))))
		}
		return nil
	})
	for range 3 {
		if err := r.Rebuild(t.Context(), "things"); err != nil {
			t.Fatal(err)
		}
		w.until(r, "rebuilt", func(s aggregator.Status) bool { return s.Rebuild == nil })
	}
	stop()
	if err := load.Wait(); err != nil {
		t.Error(err)
	}
	took, stall := time.Duration(slowest.Load()), time.Duration(idle.Load())
	if took > time.Second+3*stall {
		t.Errorf("a reader waited for %v, and a bystander for %v at most", took, stall)
	} else {
		t.Logf("the slowest read took %v, the slowest of a bystander %v", took, stall)
	}
}

// A reader that keeps the table for long keeps the swap waiting, and nobody else.
func TestASwapGivesWayToALongRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(uuid.New(), made{})
	r := w.run(types())
	w.await(r, 1)
	long, err := w.Open("long reader", 1).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := long.Exec("SELECT count(*) FROM things"); err != nil {
		t.Fatal(err)
	}
	if err := r.Rebuild(t.Context(), "things"); err != nil {
		t.Fatal(err)
	}
	var slowest time.Duration
	waited := 0
	for deadline := time.Now().Add(20 * time.Second); waited < 3 && time.Now().Before(deadline); {
		if len(w.Strings("SELECT pid FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")) == 0 {
			continue
		}
		waited++
		start := time.Now()
		w.sums() // waits behind the swap
		slowest = max(slowest, time.Since(start))
	}
	if waited == 0 || slowest > 500*time.Millisecond {
		t.Errorf("met the swap %d times, the slowest read took %v", waited, slowest)
	}
	if s := w.status(r); s.Status != "rebuilding" {
		t.Errorf("%+v, want rebuilding", s)
	}
	if err := long.Rollback(); err != nil {
		t.Fatal(err)
	}
	w.until(r, "rebuilt", func(s aggregator.Status) bool { return s.Rebuild == nil })
}

// Whoever takes a rebuild over goes on where it stopped.
func TestARebuildIsResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	last := w.many(120) // more than two windows
	r := w.replica(types())
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, kill := context.WithCancel(t.Context())
	err := r.FollowRebuild(ctx, "things", func(position, of int64) {
		if position > 0 && position < of {
			kill()
		}
	})
	if err == nil {
		t.Fatal("it was not interrupted")
	}
	s := w.status(r)
	if s.Rebuild == nil || s.Rebuild.Position == 0 || s.Rebuild.Position >= last || s.Rebuild.Of != last || s.Status != "rebuilding" {
		t.Fatalf("%+v, %+v", s, s.Rebuild)
	}
	from := s.Rebuild.Position
	first := int64(0)
	err = w.replica(types()).FollowRebuild(t.Context(), "things", func(position, _ int64) {
		if first == 0 {
			first = position
		}
	})
	if err != nil || first <= from {
		t.Errorf("%v; went on at %d, want beyond %d", err, first, from)
	}
}

func TestTwoMayFollowOneRebuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.many(120)
	if err := w.replica(types()).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := w.sums()
	var both errgroup.Group
	for range 2 {
		r := w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{things()}, DB: w.Open("replica", 2)})
		both.Go(func() error { return r.FollowRebuild(t.Context(), "things", quietly) })
	}
	if err := both.Wait(); err != nil {
		t.Error(err)
	}
	if got := w.sums(); len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}

// doubled is the next revision of the view: its sums are twice as high.
func doubled(r int) aggregator.View {
	return aggregator.Define[thing, event]("things", "thing", func(t *thing, e event, from eventsourcing.Recorded) (*thing, error) {
		if a, ok := e.(added); ok {
			next := *t
			next.Sum, next.Version = t.Sum+2*a.N, from.Version
			return &next, nil
		}
		return evolve(t, e, from)
	}, aggregator.Revision(r))
}

// Deploying a new rule is raising the revision.
func TestANewRevisionRebuildsItselfAndOlderReplicasLeaveItAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.New()
	w.append(id, made{}, added{5})
	old := w.run(types())
	w.until(old, "up to date", func(s aggregator.Status) bool { return s.LagEvents == 0 && w.sums()[id] == 5 })
	next := w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{doubled(2)}})
	stop := w.Start(next)
	w.until(next, "rebuilt", func(s aggregator.Status) bool { return s.Revision == 2 && s.Rebuild == nil })
	if got := w.sums()[id]; got != 10 {
		t.Errorf("sum %d, want 10", got)
	}
	stop()
	last := w.append(id, added{5})
	if err := old.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := w.status(old); s.Position >= last || !strings.Contains(s.Reason, "newer") {
		t.Errorf("%+v: an older replica must not work on it", s)
	}
	if err := old.Rebuild(t.Context(), "things"); !fault.Is(err, "view-newer") {
		t.Errorf("%v, want view-newer", err)
	}
	// Why repeated: while the older one looks, it has the row.
	w.until(next, "caught up", func(aggregator.Status) bool { return next.CatchUp(t.Context()) == nil && w.sums()[id] == 20 })
	// The newer release was taken back, in the middle of another rebuild.
	if err := next.Rebuild(t.Context(), "things"); err != nil {
		t.Fatal(err)
	}
	if err := old.TakeBack(t.Context(), "things"); err != nil {
		t.Fatal(err)
	}
	w.rebuild(old)
	w.append(id, added{1})
	w.until(old, "goes on", func(s aggregator.Status) bool { return s.LagEvents == 0 && s.Revision == 1 && s.Rebuild == nil })
	if got := w.sums()[id]; got != 11 {
		t.Errorf("sum %d by the older rule, want 11", got)
	}
}

// A rebuild by a mended rule frees what was parked, and the next event fits.
func TestARebuildFreesWhatOnlyTheOldRuleCouldNotApply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sick, well := uuid.New(), uuid.New()
	w.append(sick, made{}, added{13}, added{1})
	w.append(well, made{}, added{2})
	if err := w.replica(types()).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	fixed := w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{mended()}})
	w.rebuild(fixed)
	if got := w.sums(); got[sick] != 14 || got[well] != 2 || w.status(fixed).Parked != 0 {
		t.Errorf("sums %v, %+v", got, w.status(fixed))
	}
	w.append(sick, added{6})
	if err := fixed.CatchUp(t.Context()); err != nil || w.sums()[sick] != 20 {
		t.Errorf("%v, sum %d, want 20", err, w.sums()[sick])
	}
}

// Locks that somebody else changed keep the view from what comes next, and a
// rebuild sets them right.
func TestARebuildSetsWrongLocksRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := map[string]uuid.UUID{"lost": uuid.New(), "too low": uuid.New(), "too high": uuid.New(), "right": uuid.New()}
	for _, id := range ids {
		w.append(id, made{}, added{1})
	}
	views := w.replica(types())
	if err := views.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	const locks = "SELECT format('%s %s', aggregate_id, version) FROM view_locks ORDER BY 1"
	want := w.Strings(locks)
	w.Exec("DELETE FROM view_locks WHERE aggregate_id = ?", ids["lost"])
	w.Exec("UPDATE view_locks SET version = 1 WHERE aggregate_id = ?", ids["too low"])
	w.Exec("UPDATE view_locks SET version = 3 WHERE aggregate_id = ?", ids["too high"])
	w.Exec("INSERT INTO view_locks (view, aggregate_id, version) VALUES ('things', ?, 1)", uuid.New())
	for _, name := range []string{"lost", "too low"} {
		w.append(ids[name], added{1})
	}
	if err := views.CatchUp(t.Context()); err == nil || !strings.Contains(err.Error(), "rebuild the view") {
		t.Fatalf("the view goes on in spite of its locks, or does not say what to do: %v", err)
	}
	w.rebuild(views)
	if got := w.Strings(locks); !slices.Equal(got, want) {
		t.Errorf("locks\n%v, want\n%v", got, want)
	}
	for name, id := range ids {
		w.append(id, added{2})
		if err := views.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := 3
		if name == "lost" || name == "too low" {
			want = 4
		}
		if got := w.sums()[id]; got != want {
			t.Errorf("%s: sum %d, want %d", name, got, want)
		}
	}
}

// The other way round: what the new rule cannot apply is parked after the swap,
// as if it had been the rule from the start.
func TestARebuildParksWhatOnlyTheNewRuleCannotApply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sick, born := uuid.New(), uuid.New()
	w.append(sick, made{}, added{1}, added{13}, added{1})
	w.append(born, made{})
	lenient := w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{mended()}})
	if err := lenient.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	strict := w.replica(types())
	w.rebuild(strict)
	if got, s := w.sums(), w.status(strict); got[sick] != 1 || s.Parked != 1 {
		t.Errorf("sums %v, %+v", got, s)
	}
	w.due()
	w.Start(lenient)
	w.until(lenient, "free of what was parked", func(s aggregator.Status) bool { return s.Parked == 0 })
	if got := w.sums()[sick]; got != 15 {
		t.Errorf("sum %d, want 15", got)
	}
}

// A rule that fails too often does not replace one that works.
func TestARebuildThatHaltsLeavesTheViewAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := make([]uuid.UUID, 12)
	for i := range ids {
		ids[i] = uuid.New()
		w.append(ids[i], made{}, added{13})
	}
	fixed := w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{mended()}})
	if err := fixed.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	bad := w.replica(types())
	if err := bad.FollowRebuild(t.Context(), "things", quietly); !fault.Is(err, "rebuild-halted") {
		t.Fatalf("%v, want rebuild-halted", err)
	}
	s := w.status(fixed)
	if s.Rebuild == nil || s.Rebuild.Halted == "" || s.Rebuild.Parked != 12 || s.Parked != 0 || w.sums()[ids[0]] != 13 {
		t.Errorf("%+v, %+v, sums %v", s, s.Rebuild, w.sums())
	}
	w.rebuild(fixed)
	if got := w.sums(); len(got) != 12 || got[ids[3]] != 13 || w.status(fixed).Rebuild != nil {
		t.Errorf("sums %v", got)
	}
}

// A halted view is mended by a rebuild with a rule that works.
func TestARebuildEndsAHalt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 12 {
		w.append(uuid.New(), made{}, added{13})
	}
	if err := w.replica(types()).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := w.append(uuid.New(), made{})
	fixed := w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{mended()}})
	w.rebuild(fixed)
	if err := fixed.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := w.status(fixed); s.Status != "live" || s.Parked != 0 || s.Position != last {
		t.Errorf("%+v", s)
	}
}

// A migration that comes while a view is rebuilt is not lost with the old table.
func TestATableAlteredDuringARebuildIsRebuiltAgain(t *testing.T) {
	t.Parallel()
	for what, alter := range map[string][]string{
		"a column":         {"ALTER TABLE things ADD note text DEFAULT 'x'"},
		"an index":         {"CREATE INDEX things_sum_idx ON things (sum)"},
		"a column's index": {"ALTER TABLE things ADD note text DEFAULT 'x'", "CREATE INDEX things_note_idx ON things (note)"},
		"another type":     {"ALTER TABLE things ALTER sum TYPE bigint"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.many(2)
			r := w.replica(types())
			if err := r.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := r.Rebuild(t.Context(), "things"); err != nil {
				t.Fatal(err)
			}
			for _, s := range alter {
				w.Exec(s)
			}
			looks := slices.DeleteFunc(w.looks(), func(line string) bool {
				return strings.Contains(line, "_rebuild") || strings.Contains(line, "relation rebuild")
			})
			w.Start(r)
			w.until(r, "rebuilt", func(s aggregator.Status) bool { return s.Rebuild == nil })
			if got := w.looks(); !slices.Equal(got, looks) {
				t.Errorf("before\n%s\nafter\n%s", strings.Join(looks, "\n"), strings.Join(got, "\n"))
			}
			if n := len(w.sums()); n != 2 {
				t.Errorf("%d rows, want 2", n)
			}
		})
	}
}

func TestATableThatSomethingIsTiedToIsNotRebuilt(t *testing.T) {
	t.Parallel()
	for what, sql := range map[string]string{
		"an SQL view":   "CREATE VIEW sums AS SELECT sum FROM things",
		"a foreign key": "CREATE TABLE notes (thing uuid REFERENCES things)",
		"a trigger":     "CREATE TRIGGER t BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
		"a policy":      "CREATE POLICY p ON things USING (true)",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Exec(sql)
			r := w.replica(types())
			if err := r.Rebuild(t.Context(), "things"); !fault.Is(err, "view-tied") {
				t.Errorf("%v, want view-tied", err)
			}
			if s := w.status(r); s.Rebuild != nil {
				t.Errorf("a rebuild was begun: %+v", s.Rebuild)
			}
		})
	}
}
