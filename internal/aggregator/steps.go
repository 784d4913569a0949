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

// Steps gives the last changes of an aggregate's row with versions below before
// (0: all), newest first and at most limit, from the events alone; see
// [Past.History].
func (v View) Steps(ctx context.Context, log PastLog, id uuid.UUID, before, limit int) ([]Step, error) {
	return v.steps(ctx, log, id, before, limit)
}

// stepsOf is Steps for a view with this rule.
func stepsOf[Row, E any](aggregate string, evolve eventsourcing.Evolve[Row, E]) func(context.Context, PastLog, uuid.UUID, int, int) ([]Step, error) {
	return func(ctx context.Context, log PastLog, id uuid.UUID, before, limit int) ([]Step, error) {
		changes, err := PastOf(aggregate, evolve, log).History(ctx, id, before, limit)
		if err != nil {
			return nil, err
		}
		steps := make([]Step, len(changes))
		for i, c := range changes {
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
