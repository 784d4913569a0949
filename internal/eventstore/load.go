package eventstore

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
)

var _ eventsourcing.Log = (*Log)(nil)

// loadSQL reads the snapshot and the events after it as of one moment, in one
// round trip. A row without a name is the snapshot, its state in the place of
// the payload.
const loadSQL = `WITH snapshot AS MATERIALIZED (
	SELECT version, state, taken_at FROM snapshots WHERE aggregate_id = ?0 AND schema = ?1
)
SELECT e."position", e.recorded_at, e.id, e.version, e.schema_version, e.aggregate, e.name, e.actor, e.payload, e.metadata
  FROM events e
 WHERE e.aggregate_id = ?0 AND e.version > coalesce((SELECT s.version FROM snapshot s), 0)
UNION ALL
SELECT 0, s.taken_at, NULL, s.version, 0, '', '', '', s.state, NULL
  FROM snapshot s
 ORDER BY version`

// Load gives an aggregate's newest snapshot of that schema, if there is one,
// and the events after it, as they were recorded.
func (l *Log) Load(ctx context.Context, id uuid.UUID, schema string) (eventsourcing.Past, error) {
	var rows []row
	if err := l.reader.NewRaw(loadSQL, id, schema).Scan(ctx, &rows); err != nil {
		return eventsourcing.Past{}, postgres.Fault(fmt.Errorf("load aggregate %s: %w", id, err))
	}
	var past eventsourcing.Past
	if len(rows) > 0 && rows[0].Name == "" {
		past.Snapshot = &eventsourcing.Snapshot{AggregateID: id, Version: rows[0].Version, Schema: schema, State: rows[0].Payload}
		rows = rows[1:]
	}
	past.Events = make([]eventsourcing.Recorded, len(rows))
	for i, r := range rows {
		r.AggregateID = id
		past.Events[i] = r.recorded()
	}
	return past, nil
}

// History gives an aggregate's events of versions after+1 to upTo, as they were
// recorded.
func (l *Log) History(ctx context.Context, id uuid.UUID, after, upTo int) ([]eventsourcing.Recorded, error) {
	var rows []row
	err := l.reader.NewSelect().Model(&rows).Where("e.aggregate_id = ?", id).
		Where("e.version > ?", after).Where("e.version <= ?", upTo).OrderExpr("e.version").Scan(ctx)
	if err != nil {
		return nil, postgres.Fault(fmt.Errorf("read versions %d to %d of aggregate %s: %w", after+1, upTo, id, err))
	}
	events := make([]eventsourcing.Recorded, len(rows))
	for i, r := range rows {
		events[i] = r.recorded()
	}
	return events, nil
}
