package aggregator

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// Step is a change of a row for those who do not know its type: the JSON of the
// row before an event and after it; nil is no row.
type Step struct {
	Event         eventsourcing.Recorded
	Before, After json.RawMessage
	// Err is why the event, or one before it, could not be applied; the row is
	// then what it was before that event.
	Err error
}

// Timeline is a view's [Past] for those who do not know the type of its rows.
type Timeline struct {
	// Steps gives the last changes of an aggregate's row with versions below
	// before (0: all), newest first and at most limit; see [Past.History].
	Steps func(ctx context.Context, id uuid.UUID, before, limit int) ([]Step, error)
	// Reach folds on towards a version in steps of bounded work; see [Past.Reach].
	Reach func(ctx context.Context, id uuid.UUID, version int) (int, error)
}

// Timeline reads the past of the view's rows from the events alone.
func (v View) Timeline(log PastLog) Timeline { return v.timeline(log) }

// timelineOf is Timeline for a view with this rule.
func timelineOf[Row, E any](aggregate string, evolve eventsourcing.Evolve[Row, E]) func(PastLog) Timeline {
	return func(log PastLog) Timeline {
		past := PastOf(aggregate, evolve, log)
		return Timeline{Reach: past.Reach, Steps: func(ctx context.Context, id uuid.UUID, before, limit int) ([]Step, error) {
			changes, err := past.History(ctx, id, before, limit)
			if err != nil {
				return nil, err
			}
			return stepsOf(changes)
		}}
	}
}

func stepsOf[Row any](changes []eventsourcing.Change[Row]) ([]Step, error) {
	steps := make([]Step, len(changes))
	for i, c := range changes {
		var err error
		steps[i] = Step{Event: c.Event, Err: c.Err}
		if steps[i].Before, err = document(c.Before); err != nil {
			return nil, err
		}
		if steps[i].After, err = document(c.After); err != nil {
			return nil, err
		}
	}
	return steps, nil
}

func document[Row any](row *Row) (json.RawMessage, error) {
	if row == nil {
		return nil, nil
	}
	text, err := json.Marshal(row)
	if err != nil {
		return nil, fmt.Errorf("encode a row of %T: %w", row, err)
	}
	return text, nil
}
