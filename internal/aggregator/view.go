package aggregator

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
)

// View is a read model: a table with one row per aggregate, kept by folding the
// aggregate's events. Make one with [Define].
type View struct {
	// Name is the view's name and its table's.
	Name string
	// Aggregate is whose events are folded.
	Aggregate string
	// Revision counts the versions of the fold, from 1.
	Revision int

	project  func(ctx context.Context, p projection) error
	folding  func(table string, registry *eventsourcing.Registry) Folding
	timeline func(log PastLog) Timeline
}

// Revision is the option for a view whose rows mean something else than they
// did: raise it by one when evolve or the row's columns change. The view is then
// rebuilt when the program starts, and the rows that are there are served, and
// kept up to date by the new rule, until the new ones replace them. A replica of
// an older program leaves a view of a newer revision alone.
func Revision(n int) func(*View) {
	return func(v *View) { v.Revision = n }
}

// projection is one step of a view: the work to bring into a table.
type projection struct {
	tx       bun.IDB
	table    string
	work     []*history
	registry *eventsourcing.Registry
	// careful is about an aggregate that begins: there may be a row all the same.
	careful bool
	// took adds up, by the events' names, how long decoding and folding took.
	took map[string]time.Duration
}

// history is what a batch has of one aggregate: its next events in order.
type history struct {
	aggregateID uuid.UUID
	events      []eventsourcing.Recorded
	applied     int         // how many of the events the row now shows
	failed      *EventError // why the next one could not be applied
	row         any         // a pointer to it, if it is as it will be read; nil if there is none
}

// reset forgets an attempt to apply the history.
func (h *history) reset() { h.applied, h.failed, h.row = 0, nil, nil }

// Define makes a view whose rows are Rows and whose events are Es.
//
// Row is a struct whose `bun` tags name the table's columns; the one tagged pk
// is a uuid.UUID and holds the aggregate's id. E is the sum type of the
// aggregate's payloads. evolve is the view's only rule: the live view, a
// rebuild, time travel, the history's changes and verification all come from
// it. It makes a new row and leaves the one before, and what hangs on that, as it
// was: some rows are remembered and folded on from (see [Past]), so a slice is
// copied and not appended to.
//
// A moment in a Row is an [eventsourcing.Time]: what a time.Time has beyond that, its
// zone and nanoseconds, is in rows that come from the events alone and not in the
// table's, as is the order of fields that jsonb does not keep.
//
// The table has to be one that can be exchanged: no SQL view, foreign key,
// trigger or policy may be tied to it.
func Define[Row, E any](name, aggregate string, evolve eventsourcing.Evolve[Row, E], options ...func(*View)) View {
	v := View{
		Name: name, Aggregate: aggregate, Revision: 1,
		project: projectionOf(evolve), folding: foldingOf(evolve), timeline: timelineOf(aggregate, evolve),
	}
	for _, option := range options {
		option(&v)
	}
	return v
}

// projectionOf brings work into the table of a view with this rule.
func projectionOf[Row, E any](evolve eventsourcing.Evolve[Row, E]) func(context.Context, projection) error {
	var exact bool
	var once sync.Once
	return func(ctx context.Context, p projection) error {
		t := tableOf[Row](p.tx, p.table)
		once.Do(func() { exact = t.isExact() })
		before, err := t.load(ctx, p.tx, p.work)
		if err != nil {
			return err
		}
		rows, ended := foldAll(before, evolve, p)
		if !exact {
			for _, h := range p.work {
				h.row = nil
			}
		}
		write := t.upsert
		if before == nil && !p.careful {
			write = t.insert
		}
		if err := write(ctx, p.tx, rows); err != nil {
			return err
		}
		return t.remove(ctx, p.tx, ended)
	}
}

// foldAll gives the rows to write, and the aggregates whose rows are to go.
func foldAll[Row, E any](before map[uuid.UUID]*Row, evolve eventsourcing.Evolve[Row, E], p projection) (rows []*Row, ended []uuid.UUID) {
	for _, h := range p.work {
		row := fold(before[h.aggregateID], h, evolve, p)
		switch {
		case h.applied == 0:
		case row != nil:
			h.row = row
			rows = append(rows, row)
		case before[h.aggregateID] != nil:
			ended = append(ended, h.aggregateID)
		}
	}
	return rows, ended
}

// fold applies an aggregate's next events to its row, up to the first that
// fails. A panic in evolve counts as a failure of that event: it is the view's
// rule that is wrong, not the program.
func fold[Row, E any](row *Row, h *history, evolve eventsourcing.Evolve[Row, E], p projection) *Row {
	for _, e := range h.events {
		began := now()
		newest, payload, broken := p.registry.Read(e)
		next, err := step(row, newest, payload, broken, evolve)
		p.took[e.Name] += time.Since(began)
		if err != nil {
			h.failed = &EventError{Event: e, Err: err}
			return row
		}
		row = next
		h.applied++
	}
	return row
}

// step applies an event, unless it could not be read.
func step[Row, E any](
	row *Row, e eventsourcing.Recorded, payload any, broken error, evolve eventsourcing.Evolve[Row, E],
) (next *Row, err error) {
	if broken != nil {
		return nil, broken
	}
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	event, ok := payload.(E)
	if !ok {
		return nil, fmt.Errorf("payload %T is none of the events that %s folds", payload, reflect.TypeFor[Row]())
	}
	return evolve(row, event, e)
}

// EventError says which event a view could not apply, and why.
type EventError struct {
	Event eventsourcing.Recorded
	Err   error
}

// Error names the event by its position, name and aggregate.
func (e *EventError) Error() string {
	return fmt.Sprintf("apply %s at position %d to aggregate %s: %v", e.Event.Name, e.Event.Position, e.Event.AggregateID, e.Err)
}

// Unwrap gives the cause.
func (e *EventError) Unwrap() error { return e.Err }

// now measures durations and paces this process. What is applied, and when an event
// is due to be tried again, is decided by the log and by the database's clock.
func now() time.Time { return time.Now() } //nolint:forbidigo // see above
