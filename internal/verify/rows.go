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

// checkViews holds each view's books against the log: nothing is applied that
// has not happened.
func checkViews(r *run, ctx context.Context, tx bun.Tx, _ func(int64, string, ...any)) error {
	for _, v := range r.Views {
		if err := r.checkBooks(ctx, tx, v); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) checkBooks(ctx context.Context, tx bun.Tx, v aggregator.View) error {
	found := func(id *uuid.UUID, format string, args ...any) {
		r.found(Finding{Check: "views", View: v.Name, AggregateID: id, Detail: fmt.Sprintf(format, args...)})
	}
	var positions []struct {
		Position int64 `bun:"position"`
		Revision int   `bun:"revision"`
		Ahead    bool  `bun:"ahead"`
	}
	err := tx.NewRaw(`SELECT p."position", p.revision, p."position" > coalesce(h."position", 0) AS ahead
	   FROM view_positions p LEFT JOIN event_log_head h ON true WHERE p.view = ?`, v.Name).Scan(ctx, &positions)
	if err != nil {
		return fmt.Errorf("compare the position of view %s with the log: %w", v.Name, err)
	}
	for _, p := range positions {
		if p.Ahead {
			found(nil, "the view has read up to position %d, and the log does not go so far", p.Position)
		}
		if p.Revision != v.Revision {
			r.otherRevision[v.Name] = true
			r.note(Finding{View: v.Name, Detail: fmt.Sprintf("the rows are of revision %d, this program's rule is %d: they are not compared", p.Revision, v.Revision)})
		}
	}
	var locks []uuid.UUID
	err = tx.NewRaw(`SELECT l.aggregate_id FROM view_locks l
	  WHERE l.view = ? AND NOT EXISTS (SELECT FROM events e WHERE e.aggregate_id = l.aggregate_id AND e.version = 1 AND e.aggregate = ?)
	  ORDER BY 1 LIMIT ?`, v.Name, v.Aggregate, maxFindings).Scan(ctx, &locks)
	if err != nil {
		return fmt.Errorf("look for locks of view %s without events: %w", v.Name, err)
	}
	for _, id := range locks {
		found(&id, "the view has applied events of an aggregate that the log does not have")
	}
	rows, err := v.Fold(r.Registry).Strays(ctx, tx, maxFindings)
	if err != nil {
		return err
	}
	for _, id := range rows {
		found(&id, "there is a row and the view has applied no event that makes it")
	}
	return r.listParked(ctx, tx, v)
}

func (r *run) note(f Finding) {
	f.Check = "views"
	r.report.Notes = append(r.report.Notes, f)
}

func (r *run) listParked(ctx context.Context, tx bun.Tx, v aggregator.View) error {
	var parked []struct {
		AggregateID uuid.UUID `bun:"aggregate_id"`
		Position    int64     `bun:"position"`
		Error       string    `bun:"error"`
	}
	err := tx.NewRaw(`SELECT aggregate_id, "position", error FROM view_parked WHERE view = ? ORDER BY "position" LIMIT ?`, v.Name, maxFindings).Scan(ctx, &parked)
	if err != nil {
		return fmt.Errorf("list what view %s has parked: %w", v.Name, err)
	}
	for _, p := range parked {
		r.note(Finding{
			Position: p.Position, View: v.Name, AggregateID: &p.AggregateID, Detail: "set aside by the view: " + p.Error,
		})
	}
	return nil
}

// rows compares the rows of aggregates that begin in the range with the fold of
// their events. Each aggregate begins once, so ranges share the work.
type rows struct {
	r   *run
	ids map[string][]uuid.UUID // by kind of aggregate
}

func (r *run) newRows() *rows { return &rows{r: r, ids: make(map[string][]uuid.UUID)} }

func (w *rows) event(e eventsourcing.Recorded) {
	if e.Version == 1 {
		w.ids[e.Aggregate] = append(w.ids[e.Aggregate], e.AggregateID)
	}
}

func (w *rows) pause(ctx context.Context, _ bool) error {
	for _, v := range w.r.Views {
		if err := w.r.compare(ctx, v, w.ids[v.Aggregate]); err != nil {
			return err
		}
	}
	clear(w.ids)
	return nil
}

// sample compares the rows of some aggregates, taken by the positions of events:
// what changed often is looked at more likely.
func (r *run) sample(ctx context.Context) error {
	if r.Sample == 0 || r.report.To < r.report.From {
		return nil
	}
	for _, v := range r.Views {
		var ids []uuid.UUID
		err := r.DB.NewRaw(`SELECT DISTINCT e.aggregate_id
		   FROM (SELECT ? + floor(random() * ?)::bigint AS "position" FROM generate_series(1, ?)) s
		   JOIN events e USING ("position") WHERE e.aggregate = ?`,
			r.report.From, r.report.To-r.report.From+1, r.Sample, v.Aggregate).Scan(ctx, &ids)
		if err != nil {
			return fmt.Errorf("choose a sample of view %s: %w", v.Name, err)
		}
		for chunk := range slices.Chunk(ids, page) {
			if err := r.compare(ctx, v, chunk); err != nil {
				return err
			}
		}
	}
	return nil
}

// standing is how far a view is with one aggregate.
type standing struct {
	version int // of the last event applied
	parked  bool
	folded  int   // events that were folded again
	failed  error // the fold of what is said to be applied
	missed  int64 // position of an event the view has read and not applied
}

// compare holds the rows of the aggregates against the fold of their events, up
// to the version that the view says it has applied. All is read in one snapshot:
// a view commits its rows, locks and position together.
func (r *run) compare(ctx context.Context, v aggregator.View, ids []uuid.UUID) error {
	if len(ids) == 0 || r.otherRevision[v.Name] {
		return nil
	}
	return r.inSnapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		// Why: a thousand keys of tables without statistics are looked up through
		// a scan of everything, again for each page.
		if _, err := tx.NewRaw("SET LOCAL enable_seqscan = off").Exec(ctx); err != nil {
			return fmt.Errorf("read by index: %w", err)
		}
		position, standings, err := r.standings(ctx, tx, v, ids)
		if err != nil {
			return err
		}
		folding := v.Fold(r.Registry)
		err = eachOf(ctx, tx, ids, position, func(e eventsourcing.Recorded) error {
			s := standings[e.AggregateID]
			switch {
			case e.Version > s.version:
				if s.missed == 0 && !s.parked {
					s.missed = e.Position
				}
			case s.failed == nil:
				s.failed = folding.Add(e)
				s.folded++
			}
			return nil
		})
		if err != nil {
			return err
		}
		differences, err := folding.Differences(ctx, tx, ids)
		if err != nil {
			return err
		}
		r.report.Rows += int64(len(ids))
		r.judge(v, standings, differences)
		return nil
	})
}

// eachOf hands over the events of the aggregates up to a position.
func eachOf(ctx context.Context, tx bun.Tx, ids []uuid.UUID, position int64, f func(eventsourcing.Recorded) error) error {
	if position == 0 { // would be no bound
		return nil
	}
	return eventstore.EachFrom(ctx, tx, eventstore.Query{AggregateIDs: ids, UpTo: position}, f)
}

// standings reads how far the view is.
func (r *run) standings(ctx context.Context, tx bun.Tx, v aggregator.View, ids []uuid.UUID) (position int64, all map[uuid.UUID]*standing, err error) {
	err = tx.NewRaw(`SELECT coalesce(max("position"), 0) FROM view_positions WHERE view = ?`, v.Name).Scan(ctx, &position)
	if err != nil {
		return 0, nil, fmt.Errorf("read the position of view %s: %w", v.Name, err)
	}
	var list []struct {
		AggregateID uuid.UUID `bun:"aggregate_id"`
		Version     int       `bun:"version"`
		Parked      bool      `bun:"parked"`
	}
	err = tx.NewRaw(`SELECT i.id AS aggregate_id, coalesce(l.version, 0) AS version, p.view IS NOT NULL AS parked
	   FROM unnest(?::uuid[]) AS i (id)
	   LEFT JOIN view_locks l ON l.view = ? AND l.aggregate_id = i.id
	   LEFT JOIN view_parked p ON p.view = ? AND p.aggregate_id = i.id`, pgdialect.Array(ids), v.Name, v.Name).Scan(ctx, &list)
	if err != nil {
		return 0, nil, fmt.Errorf("read the locks of view %s: %w", v.Name, err)
	}
	all = make(map[uuid.UUID]*standing, len(list))
	for _, s := range list {
		all[s.AggregateID] = &standing{version: s.Version, parked: s.Parked}
	}
	return position, all, nil
}

// judge says what is wrong with the aggregates that were looked at.
func (r *run) judge(v aggregator.View, standings map[uuid.UUID]*standing, differences []aggregator.Difference) {
	found := func(id uuid.UUID, position int64, format string, args ...any) {
		r.found(Finding{Check: "rows", View: v.Name, AggregateID: &id, Position: position, Detail: fmt.Sprintf(format, args...)})
	}
	for _, id := range slices.SortedFunc(maps.Keys(standings), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		switch s := standings[id]; {
		case s.failed != nil:
			var poison *aggregator.EventError
			errors.As(s.failed, &poison)
			found(id, poison.Event.Position, "the events that the view has applied cannot be applied: %v", poison)
		case s.missed > 0:
			found(id, s.missed, "the view has read past this event and applied it not, only up to version %d", s.version)
		case s.folded < s.version:
			found(id, 0, "the view has applied version %d, and the log has %d up to where the view has read", s.version, s.folded)
		}
	}
	for _, d := range differences {
		if standings[d.AggregateID].failed == nil {
			found(d.AggregateID, 0, "%s", describe(d, standings[d.AggregateID].version))
		}
	}
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
