package aggregatortest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"golang.org/x/sync/errgroup"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
)

// Subject is a view and what may happen to it.
type Subject struct {
	View aggregator.View
	// Events are all of the view's domain.
	Events []eventsourcing.EventType
	// Table makes the view's table where no migration does.
	Table string
	// MustHand says that a row is read as it was written, by what its columns are, so
	// that who waits for it has to be handed it.
	MustHand bool
	// Tamper is called between the two halves of a law. Only the tests of the
	// laws themselves plant something with it.
	Tamper func(*World)
}

// Law is something that is true of every view. It returns what it found wrong.
type Law func(*Case) error

// All lists the laws by name.
func All() map[string]Law {
	return map[string]Law{
		"a batch applied twice is as applied once":      Twice,
		"any split into batches gives the same rows":    Split,
		"a rebuild gives the rows of the live view":     Rebuilt,
		"killed between any statements and run again":   Killed,
		"a rebuild killed between any statements":       RebuildKilled,
		"two aggregators at once are as one":            Together,
		"a version that is not the next is not applied": Refused,
		"who waits is handed the row as it is read":     Handed,
		"what is remembered is applied as what is read": Remembered,
		"killed while it applies what is remembered":    RememberedKilled,
		"two at once apply what they remember":          RememberedTogether,
	}
}

// Laws runs every law against the view.
func Laws(t *testing.T, s Subject) {
	t.Helper()
	for name, law := range All() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := s.Obeys(t, law); err != nil {
				t.Error(err)
			}
		})
	}
}

// Obeys tests one law on a log that was made up for the view.
func (s Subject) Obeys(tb testing.TB, law Law) error {
	tb.Helper()
	const events, seed = 60, 7
	w := NewWorld(tb, s.Events)
	if s.Table != "" {
		w.Exec(s.Table)
	}
	log, err := Histories(s.Events, events, seed)
	if err != nil {
		tb.Fatal(err)
	}
	for part := range slices.Chunk(log, 7) { // what was appended together has no meaning to a view
		if _, err := w.Log.Append(tb.Context(), part); err != nil {
			tb.Fatal(err)
		}
	}
	c := &Case{World: w, Subject: s, ctx: tb.Context(), head: events}
	if err := w.Runner(c.replica()).CatchUp(c.ctx); err != nil {
		tb.Fatal(err)
	}
	c.want = c.standing()
	if len(c.rows()) == 0 {
		tb.Fatalf("the view has nothing to show for %d events: %q", events, c.want)
	}
	if s.Tamper != nil {
		s.Tamper(w)
	}
	return law(c)
}

// Case is a view that has read its whole log, in one piece and undisturbed.
type Case struct {
	*World
	Subject

	ctx  context.Context //nolint:containedctx // a test's
	head int
	want []string
	seen []string // rows; for RebuildKilled
}

func (c *Case) replica() Replica { return Replica{Known: c.Events, Views: []aggregator.View{c.View}} }

// standing is everything there is to know about the view: its rows, its locks,
// its position and what it has parked.
func (c *Case) standing() []string {
	return c.Strings(`SELECT 'row ' || row_to_json(t) FROM ? t
	 UNION ALL SELECT format('lock %s %s', aggregate_id, version) FROM view_locks WHERE view = ?
	 UNION ALL SELECT format('position %s halted %s', "position", halted) FROM view_positions WHERE view LIKE ? || '%'
	 UNION ALL SELECT format('parked %s %s %s %s', aggregate_id, "position", version, error) FROM view_parked WHERE view LIKE ? || '%'
	 ORDER BY 1`, bun.Ident(c.View.Name), c.View.Name, c.View.Name, c.View.Name)
}

// rows are what a reader of the view sees.
func (c *Case) rows() []string {
	return c.Strings("SELECT row_to_json(t) FROM ? t ORDER BY row_to_json(t)::text", bun.Ident(c.View.Name))
}

// same tells what differs from the undisturbed view.
func (c *Case) same(what string) error {
	got := c.standing()
	if slices.Equal(got, c.want) {
		return nil
	}
	return errors.Join(
		differing(what+": is wrongly there", got, c.want),
		differing(what+": is missing", c.want, got))
}

// differing names the first few lines of one list that are not in the other.
func differing(what string, of, from []string) error {
	var lines []error
	for _, line := range of {
		if !slices.Contains(from, line) && len(lines) < 3 {
			lines = append(lines, fmt.Errorf("%s: %s", what, line))
		}
	}
	return errors.Join(lines...)
}

// forget takes the view back to where it has read nothing.
func (c *Case) forget() {
	c.Exec("TRUNCATE ?", bun.Ident(c.View.Name))
	c.Exec("DELETE FROM view_locks")
	c.Exec("DELETE FROM view_parked")
	c.Exec("DELETE FROM view_positions")
}

// Twice reads parts of the log again: the locks have to keep them out.
func Twice(c *Case) error {
	for back := range c.head {
		c.Exec(`UPDATE view_positions SET "position" = ?`, back)
		r := c.replica()
		r.Window = 1 + back%10
		if err := c.Runner(r).CatchUp(c.ctx); err != nil {
			return fmt.Errorf("read again from position %d: %w", back, err)
		}
		if err := c.same(fmt.Sprintf("read again from position %d", back)); err != nil {
			return err
		}
	}
	return nil
}

// Split reads the log in pieces of several sizes.
func Split(c *Case) error {
	return c.split(func(r *aggregator.Runner) error { return r.CatchUp(c.ctx) })
}

// split catches up from the beginning in batches of several sizes.
func (c *Case) split(catchUp func(*aggregator.Runner) error) error {
	for _, window := range []int{1, 2, 3, 7, 20, 59} {
		c.forget()
		r := c.replica()
		r.Window = window
		if err := catchUp(c.Runner(r)); err != nil {
			return fmt.Errorf("batches of %d: %w", window, err)
		}
		if err := c.same(fmt.Sprintf("batches of %d", window)); err != nil {
			return err
		}
	}
	return nil
}

// Rebuilt rebuilds the view.
func Rebuilt(c *Case) error {
	if err := c.Runner(c.replica()).FollowRebuild(c.ctx, c.View.Name, func(int64, int64) {}); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	return c.same("rebuilt")
}

// Killed ends the replica's connections before its first, second, third …
// statement, BEGIN and COMMIT included, which is what a kill of the process comes
// to, and lets another one go on.
func Killed(c *Case) error {
	return c.killEverywhere(func(r *aggregator.Runner) error { return r.CatchUp(c.ctx) }, c.forget)
}

// RebuildKilled is Killed for a rebuild. Whatever happened, a reader sees the old
// rows or the new ones, which here are the same.
func RebuildKilled(c *Case) error {
	return c.killEverywhere(func(r *aggregator.Runner) error {
		err := r.FollowRebuild(c.ctx, c.View.Name, func(int64, int64) {})
		if got := c.rows(); !slices.Equal(got, c.seen) {
			return fmt.Errorf("a reader sees %q instead of %q", got, c.seen)
		}
		return err
	}, func() { c.seen = c.rows() })
}

// enoughKills is how many kills have to be noticed before a law about them says
// anything. Those that are not hit an idle connection, which is replaced.
const enoughKills = 15

// killEverywhere does something from a beginning, killed at its n-th statement
// and then undisturbed, for every n.
func (c *Case) killEverywhere(do func(*aggregator.Runner) error, begin func()) error {
	noticed := 0
	for n := 1; ; n++ {
		begin()
		k, err := c.killAt(n, do)
		if !k.struck() {
			if err == nil && noticed < enoughKills {
				err = fmt.Errorf("only %d kills were noticed", noticed)
			}
			return err
		}
		if err != nil {
			noticed++
		}
		if err := do(c.Runner(c.replica())); err != nil {
			return fmt.Errorf("after a kill at statement %d: %w", n, err)
		}
		if err := c.same(fmt.Sprintf("killed at statement %d", n)); err != nil {
			return err
		}
	}
}

// killAt lets a replica do something and kills it at its n-th statement.
func (c *Case) killAt(n int, do func(*aggregator.Runner) error) (*killer, error) {
	k := &killer{world: c.World, name: "doomed", at: int64(n)}
	db := c.Open(k.name, 2)
	defer func() { _ = db.Close() }()
	r := c.replica()
	r.DB, r.Window = db.WithQueryHook(k), 25
	return k, do(c.Runner(r))
}

// Together runs two replicas at once.
func Together(c *Case) error { return c.twoAtOnce(c.readAll) }

// twoAtOnce lets two replicas do something at once, from the beginning.
func (c *Case) twoAtOnce(do func(*aggregator.Runner) error) error {
	for range 5 {
		c.forget()
		var both errgroup.Group
		for range 2 {
			r := c.replica()
			r.Window = 2
			both.Go(func() error { return do(c.Runner(r)) })
		}
		if err := both.Wait(); err != nil {
			return fmt.Errorf("two at once: %w", err)
		}
		if err := c.same("two at once"); err != nil {
			return err
		}
	}
	return nil
}

// readAll catches up until the view is at the head, whoever takes it there.
func (c *Case) readAll(r *aggregator.Runner) error {
	for c.ctx.Err() == nil {
		all, err := r.Status(c.ctx)
		if err != nil || all[0].Position == int64(c.head) {
			return err
		}
		if err := r.CatchUp(c.ctx); err != nil {
			return err
		}
	}
	return nil
}

// Refused takes one version out of the middle of what was applied, so that what
// comes after it is not the next, and expects that nothing is applied.
func Refused(c *Case) error {
	c.forget()
	half := int64(c.head / 2)
	r := c.replica()
	r.Window = int(half)
	c.Exec(`UPDATE event_log_head SET "position" = ?`, half)
	if err := c.Runner(r).CatchUp(c.ctx); err != nil {
		return fmt.Errorf("read the first half: %w", err)
	}
	c.Exec(`UPDATE event_log_head SET "position" = ?`, c.head)
	changed := c.Strings(`UPDATE view_locks l SET version = l.version - 1
	  WHERE l.version > 1 AND EXISTS (SELECT FROM events e WHERE e.aggregate_id = l.aggregate_id AND e."position" > ?)
	 RETURNING l.aggregate_id`, half)
	if len(changed) == 0 {
		return errors.New("the log has no aggregate that lives in both halves")
	}
	c.want = c.standing()
	if err := c.Runner(r).CatchUp(c.ctx); err == nil {
		return errors.New("a version that is not the next was accepted")
	}
	return c.same("refused")
}

// Handed waits for each aggregate while the view is caught up, and compares what is
// handed over with what a reader of the table would write as JSON.
func Handed(c *Case) error {
	var last []struct {
		ID      uuid.UUID `bun:"aggregate_id"`
		Version int       `bun:"version"`
	}
	if err := c.DB.NewRaw("SELECT aggregate_id, version FROM view_locks WHERE view = ?", c.View.Name).Scan(c.ctx, &last); err != nil {
		return fmt.Errorf("list the aggregates: %w", err)
	}
	handed := 0
	for _, l := range last {
		c.forget()
		r := c.replica()
		r.Window = 25
		runner := c.Runner(r)
		row, shown, err := runner.WaitVersion(c.ctx, c.View.Name, l.ID, l.Version, func(ctx context.Context) (bool, error) {
			return false, runner.CatchUp(ctx)
		})
		if err != nil {
			return fmt.Errorf("wait for version %d of %s: %w", l.Version, l.ID, err)
		}
		if !shown {
			return fmt.Errorf("version %d of %s is not shown", l.Version, l.ID)
		}
		if row == nil { // it came to an end
			continue
		}
		handed++
		if err := c.asRead(l.ID, row); err != nil {
			return err
		}
	}
	if all := len(c.rows()); handed != all && (handed > 0 || c.MustHand) {
		return fmt.Errorf("%d rows of %d were handed over", handed, all)
	}
	return nil
}

// asRead compares an aggregate's row with the stored one.
func (c *Case) asRead(id uuid.UUID, row any) error {
	stored := reflect.New(reflect.TypeOf(row).Elem()).Interface()
	table := c.DB.Table(reflect.TypeOf(row))
	err := c.DB.NewSelect().Model(stored).ModelTableExpr("? AS ?", bun.Ident(c.View.Name), table.SQLAlias).
		Where("?.? = ?", table.SQLAlias, table.PKs[0].SQLName, id).Scan(c.ctx)
	if err != nil {
		return fmt.Errorf("read the row of %s: %w", id, err)
	}
	got, err := json.Marshal(row)
	want, wrong := json.Marshal(stored)
	if err != nil || wrong != nil || !bytes.Equal(got, want) {
		return errors.Join(fmt.Errorf("handed over was %s, and read is %s", got, want), err, wrong)
	}
	return nil
}
