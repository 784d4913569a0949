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
SELECT ` + eventColumns + `
  FROM events e
 WHERE e.aggregate_id = ?0 AND e.version > coalesce((SELECT s.version FROM snapshot s), 0)
UNION ALL
SELECT NULL, ?0, '', '', 0, s.version, 0, s.state, NULL, '', s.taken_at
  FROM snapshot s`

// Load gives an aggregate's newest snapshot of that schema, if there is one,
// and the events after it, as they were recorded.
func (l *Log) Load(ctx context.Context, id uuid.UUID, schema string) (eventsourcing.Past, error) {
	// Why a query that bun builds: for those the pool bounds the wait for a
	// connection.
	events, err := scan(ctx, l.reader.NewSelect().TableExpr("("+loadSQL+") AS past", id, schema).Order("version"), 0)
	if err != nil {
		return eventsourcing.Past{}, postgres.Fault(fmt.Errorf("load aggregate %s: %w", id, err))
	}
	past := eventsourcing.Past{Events: events}
	if len(events) > 0 && events[0].Name == "" {
		first := events[0]
		past.Snapshot = &eventsourcing.Snapshot{AggregateID: id, Version: first.Version, Schema: schema, State: first.Payload}
		past.Events = events[1:]
	}
	return past, nil
}

// History gives an aggregate's events of versions after+1 to upTo, as they were
// recorded.
func (l *Log) History(ctx context.Context, id uuid.UUID, after, upTo int) ([]eventsourcing.Recorded, error) {
	events, err := scan(ctx, Query{AggregateID: id, UpToVersion: upTo}.from(l.reader).Where("e.version > ?", after), 0)
	if err != nil {
		return nil, postgres.Fault(fmt.Errorf("read versions %d to %d of aggregate %s: %w", after+1, upTo, id, err))
	}
	return events, nil
}
