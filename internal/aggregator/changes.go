package aggregator

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
)

// Change says that a row is what it is through the event at the position.
type Change struct {
	AggregateID uuid.UUID          `bun:"aggregate_id"`
	Position    int64              `bun:"position"`
	RecordedAt  eventsourcing.Time `bun:"recorded_at"`
}

// Position reads how far the view has read the log, on whichever replica. It is
// committed: the rows show all of it. A view that never ran is at 0.
func (v View) Position(ctx context.Context, db bun.IDB) (int64, error) {
	var position int64
	err := db.NewRaw(`SELECT coalesce(max("position"), 0) FROM view_positions WHERE view = ?`, v.Name).Scan(ctx, &position)
	if err != nil {
		return 0, fmt.Errorf("read the position of view %s: %w", v.Name, err)
	}
	return position, nil
}

// Changes lists whose rows the events at (after, upTo] changed, each once, in
// the order of their last such event. Events that wait behind a parked one have
// changed nothing yet; when they are applied, only the aggregate's next event
// tells.
func (v View) Changes(ctx context.Context, db bun.IDB, after, upTo int64) ([]Change, error) {
	var changes []Change
	err := db.NewRaw(`SELECT e.aggregate_id, max(e."position") AS "position", max(e.recorded_at) AS recorded_at
	   FROM events e
	   JOIN view_locks l ON l.view = ? AND l.aggregate_id = e.aggregate_id AND l.version >= e.version
	  WHERE e.aggregate = ? AND e."position" > ? AND e."position" <= ?
	  GROUP BY e.aggregate_id
	  ORDER BY 2`, v.Name, v.Aggregate, after, upTo).Scan(ctx, &changes)
	if err != nil {
		return nil, fmt.Errorf("read what changed in view %s after position %d: %w", v.Name, after, err)
	}
	return changes, nil
}
