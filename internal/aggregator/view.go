package aggregator

import (
	"context"
	"fmt"
	"reflect"

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

	project project
	folding func(view string, registry *eventsourcing.Registry) Folding
}

// project brings the rows of a table up to date with the work. It marks the
// histories that failed; an error is about the database.
type project func(ctx context.Context, tx bun.IDB, table string, work []*history) error

// history is what a batch has of one aggregate: its next events in order.
type history struct {
	aggregateID uuid.UUID
	events      []eventsourcing.Recorded
	payloads    []any       // decoded, parallel to events
	applied     int         // how many of the events the row now shows
	failed      *EventError // why the next one could not be applied
}

// Define makes a view whose rows are Rows and whose events are Es.
//
// Row is a struct whose `bun` tags name the table's columns; the one tagged pk
// is a uuid.UUID and holds the aggregate's id. E is the sum type of the
// aggregate's payloads. evolve is the view's only rule: the live view, a
// rebuild, time travel, the history's changes and verification all come from
// it.
func Define[Row, E any](name, aggregate string, evolve eventsourcing.Evolve[Row, E]) View {
	return View{
		Name:      name,
		Aggregate: aggregate,
		folding:   foldingOf(evolve),
		project: func(ctx context.Context, tx bun.IDB, table string, work []*history) error {
			t := tableOf[Row](tx, table)
			rows, err := t.load(ctx, tx, work)
			if err != nil {
				return err
			}
			var upserts []*Row
			var deletes []uuid.UUID
			for _, h := range work {
				before := rows[h.aggregateID]
				after := fold(before, h, evolve)
				if after != nil {
					upserts = append(upserts, after)
				} else if before != nil {
					deletes = append(deletes, h.aggregateID)
				}
			}
			if err := t.upsert(ctx, tx, upserts); err != nil {
				return err
			}
			return t.remove(ctx, tx, deletes)
		},
	}
}

// fold applies an aggregate's next events to its row, up to the first that
// fails. A panic in evolve counts as a failure of that event: it is the view's
// rule that is wrong, not the program.
func fold[Row, E any](row *Row, h *history, evolve eventsourcing.Evolve[Row, E]) *Row {
	for i, e := range h.events {
		next, err := step(row, h.payloads[i], e, evolve)
		if err != nil {
			h.failed = &EventError{Event: e, Err: err}
			return row
		}
		row = next
		h.applied++
	}
	return row
}

func step[Row, E any](row *Row, decoded any, e eventsourcing.Recorded, evolve eventsourcing.Evolve[Row, E]) (next *Row, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	switch payload := decoded.(type) {
	case E:
		return evolve(row, payload, e)
	case error: // it could not be decoded
		return nil, payload
	default:
		return nil, fmt.Errorf("payload %T is none of the events that %s folds", decoded, reflect.TypeFor[Row]())
	}
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
