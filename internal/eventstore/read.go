package eventstore

import (
	"context"
	"errors"
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
	Aggregate   string
	AggregateID uuid.UUID
	Name        string
	// PayloadBudget ends the answer with the event whose payload brings the
	// sum to this many bytes, so that large events cannot fill the memory.
	PayloadBudget int
	// AggregateIDs gives the events of several aggregates one aggregate after
	// the other, each in the order of its versions.
	AggregateIDs []uuid.UUID
	FromVersion  int // versions from this one on
	UpToVersion  int // versions up to and including this
	// CorrelationID is the metadata's correlation_id.
	CorrelationID string
}

// eventColumns are those of the table events, in the order of [eventsourcing.Columns].
const eventColumns = `e.id, e.aggregate_id, e.aggregate, e.name, e.schema_version, e.version, e."position", e.payload, e.metadata, e.actor, e.recorded_at`

// positionColumn is the place in the log, and positionOfFew the same where another
// column says already which few events it is about. Why: in a table that has just
// grown and was not analyzed since, PostgreSQL takes a range of positions for few
// too, and reads all of its index: 35 ms for an aggregate of four events among a
// million, and 0.1 when the range can have no index.
const (
	positionColumn = `e."position"`
	positionOfFew  = `(e."position" + 0)`
)

// Read gives the events of the query in the order of their positions.
func (l *Log) Read(ctx context.Context, q Query) ([]eventsourcing.Recorded, error) {
	return ReadFrom(ctx, l.reader, q)
}

// ReadFrom is Read on a given connection or transaction. What was read once
// never changes, so it needs no particular isolation.
func ReadFrom(ctx context.Context, db bun.IDB, q Query) ([]eventsourcing.Recorded, error) {
	events, err := scan(ctx, q.from(db), q.PayloadBudget)
	if err != nil {
		return nil, postgres.Fault(fmt.Errorf("read the log after position %d: %w", q.After, err))
	}
	return events, nil
}

// scan takes rows as they come. Why by hand: a rebuild reads the whole log, and
// finding each column's field by its name costs as much as the query.
func scan(ctx context.Context, s *bun.SelectQuery, budget int) (events []eventsourcing.Recorded, err error) {
	rows, err := s.Rows(ctx)
	if err != nil {
		return nil, err //nolint:wrapcheck // the callers say what they were reading
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	events, size := []eventsourcing.Recorded{}, 0
	for (budget == 0 || size < budget) && rows.Next() {
		events = append(events, eventsourcing.Recorded{})
		e := &events[len(events)-1]
		if err := rows.Scan(eventsourcing.Columns(e)...); err != nil {
			return nil, err //nolint:wrapcheck // as above
		}
		size += len(e.Payload)
	}
	return events, rows.Err() //nolint:wrapcheck // as above
}

// Each hands the events of the query to f as they come, in the order that Read
// would give them, so that memory does not grow with their number. It ends with
// the first error of f.
func (l *Log) Each(ctx context.Context, q Query, f func(eventsourcing.Recorded) error) error {
	return EachFrom(ctx, l.reader, q, f)
}

// EachFrom is Each on a given connection or transaction, on which f can run no
// statement.
func EachFrom(ctx context.Context, db bun.IDB, q Query, f func(eventsourcing.Recorded) error) error {
	rows, err := q.from(db).Rows(ctx)
	if err != nil {
		return postgres.Fault(fmt.Errorf("read the log after position %d: %w", q.After, err))
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e eventsourcing.Recorded
		if err := rows.Scan(eventsourcing.Columns(&e)...); err != nil {
			return fmt.Errorf("read an event of the log: %w", err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return postgres.Fault(fmt.Errorf("read the log after position %d: %w", q.After, err))
	}
	return nil
}

// from makes the query's conditions and order.
func (q Query) from(db bun.IDB) *bun.SelectQuery {
	s := db.NewSelect().TableExpr("events AS e").ColumnExpr(eventColumns)
	position := positionOfFew
	switch {
	case len(q.AggregateIDs) > 0:
		s = s.Where("e.aggregate_id = ANY (?::uuid[])", pgdialect.Array(q.AggregateIDs)).OrderExpr("e.aggregate_id, e.version")
	case q.AggregateID != uuid.Nil:
		// An aggregate's versions and its positions have the same order, and
		// there is an index for versions.
		s = s.Where("e.aggregate_id = ?", q.AggregateID).OrderExpr("e.version")
	default:
		position = positionColumn
		s = s.OrderExpr(position)
	}
	for _, c := range []struct {
		condition string
		given     bool
		value     any
	}{
		{"e.aggregate = ?", q.Aggregate != "", q.Aggregate},
		{position + " > ?", q.After > 0, q.After},
		{position + " <= ?", q.UpTo > 0, q.UpTo},
		{"e.version >= ?", q.FromVersion > 0, q.FromVersion},
		{"e.version <= ?", q.UpToVersion > 0, q.UpToVersion},
		{"e.name = ?", q.Name != "", q.Name},
		{"e.metadata ->> 'correlation_id' = ?", q.CorrelationID != "", q.CorrelationID},
	} {
		if c.given {
			s = s.Where(c.condition, c.value)
		}
	}
	if q.Limit > 0 {
		s = s.Limit(int64(q.Limit))
	}
	return s
}

// Event gives the event with this id. It reports false if there is none.
func (l *Log) Event(ctx context.Context, id uuid.UUID) (eventsourcing.Recorded, bool, error) {
	events, err := scan(ctx, l.reader.NewSelect().TableExpr("events AS e").ColumnExpr(eventColumns).Where("e.id = ?", id), 0)
	if err != nil {
		return eventsourcing.Recorded{}, false, postgres.Fault(fmt.Errorf("read event %s: %w", id, err))
	}
	if len(events) == 0 {
		return eventsourcing.Recorded{}, false, nil
	}
	return events[0], true, nil
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
