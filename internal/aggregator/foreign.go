package aggregator

import (
	"encoding/json"
	"fmt"

	"onepg/internal/eventsourcing"
)

// Foreign makes a view of another domain's aggregate. E is a struct of one's
// own with the few fields that the view needs; every event's payload, in its
// newest schema version, is decoded into it, and from.Name tells which event it
// is. So neither domain imports the other, and the other's new fields and events
// do no harm.
func Foreign[Row, E any](name, aggregate string, evolve eventsourcing.Evolve[Row, E]) View {
	return Define(name, aggregate, foreign(evolve))
}

// ForeignPast makes the past of the view that [Foreign] makes of the same
// aggregate and evolve.
func ForeignPast[Row, E any](aggregate string, evolve eventsourcing.Evolve[Row, E], log PastLog) Past[Row] {
	return PastOf(aggregate, foreign(evolve), log)
}

func foreign[Row, E any](evolve eventsourcing.Evolve[Row, E]) eventsourcing.Evolve[Row, any] {
	return func(row *Row, _ any, from eventsourcing.Recorded) (*Row, error) {
		var event E
		if err := json.Unmarshal(from.Payload, &event); err != nil {
			return nil, fmt.Errorf("decode %s as %T: %w", from.Name, event, err)
		}
		return evolve(row, event, from)
	}
}
