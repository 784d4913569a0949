package eventstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
)

// Query selects a part of the log. The zero value of a field is no condition.
type Query struct {
	After       int64 // positions greater than this
	UpTo        int64 // positions up to and including this
	Limit       int   // at most this many events
	Aggregates  []string
	AggregateID uuid.UUID
	Name        string
}

// row is how the log's columns are scanned.
type row struct {
	bun.BaseModel `bun:"table:events,alias:e"`

	ID            uuid.UUID          `bun:"id"`
	AggregateID   uuid.UUID          `bun:"aggregate_id"`
	Aggregate     string             `bun:"aggregate"`
	Name          string             `bun:"name"`
	SchemaVersion int                `bun:"schema_version"`
	Version       int                `bun:"version"`
	Position      int64              `bun:"position"`
	Payload       json.RawMessage    `bun:"payload"`
	Metadata      json.RawMessage    `bun:"metadata"`
	Actor         string             `bun:"actor"`
	RecordedAt    eventsourcing.Time `bun:"recorded_at"`
}

func (r row) recorded() eventsourcing.Recorded {
	return eventsourcing.Recorded{
		ID: r.ID, AggregateID: r.AggregateID, Aggregate: r.Aggregate, Name: r.Name,
		SchemaVersion: r.SchemaVersion, Version: r.Version, Position: r.Position,
		Payload: r.Payload, Metadata: r.Metadata, Actor: r.Actor, RecordedAt: r.RecordedAt,
	}
}

// Read gives the events of the query in the order of their positions.
func (l *Log) Read(ctx context.Context, q Query) ([]eventsourcing.Recorded, error) {
	return ReadFrom(ctx, l.reader, q)
}

// ReadFrom is Read on a given connection or transaction. What was read once
// never changes, so it needs no particular isolation.
func ReadFrom(ctx context.Context, db bun.IDB, q Query) ([]eventsourcing.Recorded, error) {
	var rows []row
	s := db.NewSelect().Model(&rows)
	if q.AggregateID != uuid.Nil {
		// An aggregate's versions and its positions have the same order, and
		// there is an index for versions.
		s = s.Where("e.aggregate_id = ?", q.AggregateID).OrderExpr("e.version")
	} else {
		s = s.OrderExpr(`e."position"`)
	}
	if q.After > 0 {
		s = s.Where(`e."position" > ?`, q.After)
	}
	if q.UpTo > 0 {
		s = s.Where(`e."position" <= ?`, q.UpTo)
	}
	if len(q.Aggregates) > 0 {
		s = s.Where("e.aggregate IN (?)", bun.List(q.Aggregates))
	}
	if q.Name != "" {
		s = s.Where("e.name = ?", q.Name)
	}
	if q.Limit > 0 {
		s = s.Limit(int64(q.Limit))
	}
	if err := s.Scan(ctx); err != nil {
		return nil, postgres.Fault(fmt.Errorf("read the log after position %d: %w", q.After, err))
	}
	events := make([]eventsourcing.Recorded, len(rows))
	for i, r := range rows {
		events[i] = r.recorded()
	}
	return events, nil
}

// Event gives the event with this id. It reports false if there is none.
func (l *Log) Event(ctx context.Context, id uuid.UUID) (eventsourcing.Recorded, bool, error) {
	var rows []row
	err := l.reader.NewSelect().Model(&rows).Where("e.id = ?", id).Scan(ctx)
	if err != nil {
		return eventsourcing.Recorded{}, false, postgres.Fault(fmt.Errorf("read event %s: %w", id, err))
	}
	if len(rows) == 0 {
		return eventsourcing.Recorded{}, false, nil
	}
	return rows[0].recorded(), true, nil
}

// Head gives the last position of the log; 0 when it is empty.
func (l *Log) Head(ctx context.Context) (int64, error) { return headOf(ctx, l.reader) }

func headOf(ctx context.Context, db bun.IDB) (int64, error) {
	var position int64
	err := db.NewSelect().Table("event_log_head").Column("position").Scan(ctx, &position)
	if err != nil {
		return 0, postgres.Fault(fmt.Errorf("read the head of the log: %w", err))
	}
	return position, nil
}

// historyPage is how many events EachOf holds at once.
const historyPage = 2000

// EachOf calls f with every event of the aggregates up to a position: aggregate
// by aggregate, each in the order of its versions. Memory does not grow with
// the length of a history.
func EachOf(ctx context.Context, db bun.IDB, ids []uuid.UUID, upTo int64, f func(eventsourcing.Recorded) error) error {
	var after row
	for {
		var rows []row
		err := db.NewSelect().Model(&rows).
			Where("e.aggregate_id = ANY (?::uuid[])", pgdialect.Array(ids)).
			Where("(e.aggregate_id, e.version) > (?, ?)", after.AggregateID, after.Version).
			Where(`e."position" <= ?`, upTo).
			OrderExpr("e.aggregate_id, e.version").Limit(historyPage).Scan(ctx)
		if err != nil {
			return postgres.Fault(fmt.Errorf("read the histories of %d aggregates: %w", len(ids), err))
		}
		for _, r := range rows {
			if err := f(r.recorded()); err != nil {
				return err
			}
		}
		if len(rows) < historyPage {
			return nil
		}
		after = rows[len(rows)-1]
	}
}
