package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
)

// rows compares the rows of aggregates that begin in the range with the fold of
// their events.
type rows struct{ r *run }

func (w rows) page(ctx context.Context, events []eventsourcing.Recorded) error {
	ids := begun(events)
	for _, v := range w.r.Views {
		if err := w.r.compare(ctx, v, ids[v.Aggregate]); err != nil {
			return err
		}
	}
	return nil
}

func (rows) end(context.Context) error { return nil }

// compare holds the rows of the aggregates against the fold of their events, up
// to the version that the view says it has applied. All is read in one snapshot:
// a view commits its rows, locks and position together.
func (r *run) compare(ctx context.Context, v aggregator.View, ids []uuid.UUID) error {
	if len(ids) == 0 || r.otherRevision[v.Name] {
		return nil
	}
	return r.inSnapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		c := comparison{run: r, tx: tx, view: v, ids: ids, folding: v.Fold(r.Registry)}
		if err := c.read(ctx); err != nil {
			return err
		}
		if err := c.fold(ctx); err != nil {
			return err
		}
		return c.judge(ctx)
	})
}

// comparison is one of some rows of one view.
type comparison struct {
	*run

	tx        bun.Tx
	view      aggregator.View
	ids       []uuid.UUID
	folding   aggregator.Folding
	position  int64 // that the view has read up to
	standings map[uuid.UUID]*standing
}

// standing is how far a view is with one aggregate.
type standing struct {
	version int // of the last event applied
	parked  bool
	folded  int   // events that were folded again
	failed  error // the fold of what is said to be applied
	missed  int64 // position of an event the view has read and not applied
}

// read finds out how far the view is.
func (c *comparison) read(ctx context.Context) error {
	// Why: a thousand keys of tables without statistics are looked up through a
	// scan of everything, again for each page.
	if _, err := c.tx.NewRaw("SET LOCAL enable_seqscan = off").Exec(ctx); err != nil {
		return fmt.Errorf("read by index: %w", err)
	}
	var err error
	if c.position, err = c.view.Position(ctx, c.tx); err != nil {
		return err
	}
	var list []struct {
		AggregateID uuid.UUID `bun:"aggregate_id"`
		Version     int       `bun:"version"`
		Parked      bool      `bun:"parked"`
	}
	err = c.tx.NewRaw(`SELECT i.id AS aggregate_id, coalesce(l.version, 0) AS version, p.view IS NOT NULL AS parked
	   FROM unnest(?::uuid[]) AS i (id)
	   LEFT JOIN view_locks l ON l.view = ? AND l.aggregate_id = i.id
	   LEFT JOIN view_parked p ON p.view = ? AND p.aggregate_id = i.id`, pgdialect.Array(c.ids), c.view.Name, c.view.Name).Scan(ctx, &list)
	if err != nil {
		return fmt.Errorf("read the locks of view %s: %w", c.view.Name, err)
	}
	c.standings = make(map[uuid.UUID]*standing, len(list))
	for _, s := range list {
		c.standings[s.AggregateID] = &standing{version: s.Version, parked: s.Parked}
	}
	return nil
}

// fold folds the events again that the view has read.
func (c *comparison) fold(ctx context.Context) error {
	if c.position == 0 { // would be no bound
		return nil
	}
	return eventstore.EachFrom(ctx, c.tx, eventstore.Query{AggregateIDs: c.ids, UpTo: c.position}, func(e eventsourcing.Recorded) error {
		switch s := c.standings[e.AggregateID]; {
		case e.Version <= s.version && s.failed == nil:
			s.failed = c.folding.Add(e)
			s.folded++
		case e.Version > s.version && s.missed == 0 && !s.parked:
			s.missed = e.Position
		}
		return nil
	})
}

// isNewer tells whether a newer release recorded an event that this one has, too.
func (c *comparison) isNewer(e eventsourcing.Recorded) bool {
	known, ok := c.Registry.Lookup(e.Name)
	return ok && e.SchemaVersion > known.SchemaVersion()
}

// noteNewer says, once for the view, that rows are not compared because a newer
// program recorded some of their events.
func (c *comparison) noteNewer(poison *aggregator.EventError) {
	if !c.newer[c.view.Name] {
		c.newer[c.view.Name] = true
		c.report.Notes = append(c.report.Notes, Finding{
			Check: "rows", View: c.view.Name, Detail: "rows with events of a newer program are not compared: " + poison.Error(),
		})
	}
}

// judge says what is wrong with the aggregates that were looked at.
func (c *comparison) judge(ctx context.Context) error {
	differences, err := c.folding.Differences(ctx, c.tx, c.ids)
	if err != nil {
		return err
	}
	c.report.Rows += int64(len(c.ids))
	for _, id := range slices.SortedFunc(maps.Keys(c.standings), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		switch s := c.standings[id]; {
		case s.failed != nil:
			var poison *aggregator.EventError
			errors.As(s.failed, &poison)
			if c.isNewer(poison.Event) {
				c.noteNewer(poison)
				continue
			}
			c.found(id, poison.Event.Position, "the events that the view has applied cannot be applied: %v", poison)
		case s.missed > 0:
			c.found(id, s.missed, "the view has read past this event and applied it not, only up to version %d", s.version)
		case s.folded < s.version:
			c.found(id, 0, "the view has applied version %d, and the log has %d up to where the view has read", s.version, s.folded)
		}
	}
	for _, d := range differences {
		if c.standings[d.AggregateID].failed == nil {
			c.found(d.AggregateID, 0, "%s", describe(d, c.standings[d.AggregateID].version))
		}
	}
	return nil
}

func (c *comparison) found(id uuid.UUID, position int64, format string, args ...any) {
	c.add(Finding{Check: "rows", View: c.view.Name, AggregateID: &id, Position: position, Detail: fmt.Sprintf(format, args...)})
}

// describe says in which columns a row differs.
func describe(d aggregator.Difference, version int) string {
	switch {
	case d.Stored == nil:
		return fmt.Sprintf("there is no row, and the events up to version %d make one", version)
	case d.Folded == nil:
		return fmt.Sprintf("there is a row, and the events up to version %d make none", version)
	}
	var stored, folded map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(d.Stored, &stored), json.Unmarshal(d.Folded, &folded)); err != nil {
		return "the row differs from the fold of its events"
	}
	var columns []string
	for _, name := range slices.Sorted(maps.Keys(folded)) {
		if !bytes.Equal(stored[name], folded[name]) {
			columns = append(columns, fmt.Sprintf("%s is %s and must be %s", name, stored[name], folded[name]))
		}
	}
	return fmt.Sprintf("the row is not the fold of its events up to version %d: %s", version, strings.Join(columns, ", "))
}
