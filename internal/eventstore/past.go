package eventstore

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
)

// positionsAtSQL finds the places of moments by halving the log: recorded_at
// never falls along positions and positions have no gaps, so twenty looks by the
// primary key do in a log of a million (0.5 ms) what would otherwise need an index
// that every append pays for.
//
// Why LIMIT: the table has one row. Until it is analyzed PostgreSQL takes it for a
// thousand, and compiles the query, which takes it 200 ms.
const positionsAtSQL = `
SELECT found."position",
       -- Why the database's clock: it is the one that recorded the events. An
       -- event may be ahead of it, where it was set back.
       m.moment <= greatest(head.recorded_at, clock_timestamp()) AS reached
  FROM unnest(?::timestamptz[]) WITH ORDINALITY AS m (moment, ordinal)
 CROSS JOIN (SELECT "position", recorded_at FROM event_log_head LIMIT 1) head
 CROSS JOIN LATERAL (
    WITH RECURSIVE search (low, high) AS (
        SELECT 0::bigint, head."position"
        UNION ALL
        SELECT CASE WHEN middle.reached THEN middle."position" ELSE s.low END,
               CASE WHEN middle.reached THEN s.high ELSE middle."position" - 1 END
          FROM search s
         CROSS JOIN LATERAL (
               SELECT e."position", e.recorded_at <= m.moment AS reached
                 FROM events e
                WHERE e."position" = s.low + (s.high - s.low + 1) / 2
               ) middle
         WHERE s.low < s.high
    )
    SELECT s.low AS "position" FROM search s WHERE s.low = s.high
 ) found
 ORDER BY m.ordinal`

// PositionAt gives the last position that was recorded at the moment or before
// it, 0 if there is none. It reports false if the moment has not come yet.
//
// An append takes its time a little before its commit, so a moment that has
// only just gone by may still gain the events that were in flight.
func (l *Log) PositionAt(ctx context.Context, moment time.Time) (position int64, reached bool, err error) {
	places, err := l.placesOf(ctx, moment)
	if err != nil {
		return 0, false, err
	}
	return places[0].Position, places[0].Reached, nil
}

// PositionsAt gives, for each moment, the last position that was recorded at it
// or before it: how the log grew.
func (l *Log) PositionsAt(ctx context.Context, moments []time.Time) ([]int64, error) {
	places, err := l.placesOf(ctx, moments...)
	if err != nil {
		return nil, err
	}
	positions := make([]int64, len(places))
	for i, p := range places {
		positions[i] = p.Position
	}
	return positions, nil
}

// place is where a moment lies in the log.
type place struct {
	Position int64 `bun:"position"`
	Reached  bool  `bun:"reached"`
}

// placesOf gives a place for each moment.
func (l *Log) placesOf(ctx context.Context, moments ...time.Time) ([]place, error) {
	texts := make([]string, len(moments))
	for i, m := range moments {
		texts[i] = "-infinity" // PostgreSQL has no year 0
		if at := eventsourcing.At(m); at.Year() > 0 {
			texts[i] = at.String()
		}
	}
	var places []place
	if err := l.reader.NewRaw(positionsAtSQL, pgdialect.Array(texts)).Scan(ctx, &places); err != nil {
		return nil, postgres.Fault(fmt.Errorf("find the positions of %d moments: %w", len(moments), err))
	}
	return places, nil
}

// Existing selects aggregates of a kind that existed at a position: those that
// had been created, whatever became of them.
type Existing struct {
	Aggregate string
	Position  int64
	After     uuid.UUID // ids greater than this
	Limit     int       // at most this many
}

// visits bounds how many aggregates of the log Existing looks at: those that
// came after the position are passed over one by one, at about 1 µs each.
const visits = 20_000

// existingSQL goes along the index of (aggregate_id, version) and stops where
// one of its limits is reached.
const existingSQL = `
SELECT v.aggregate_id, v.existed, v.nth = ? AS last
  FROM (SELECT e.aggregate_id, e.aggregate = ? AND e."position" <= ? AS existed,
               row_number() OVER (ORDER BY e.aggregate_id) AS nth
          FROM events e
         WHERE e.version = 1 AND e.aggregate_id > ?
         ORDER BY e.aggregate_id
         LIMIT ?) v
 WHERE v.existed OR v.nth = ?
 ORDER BY v.aggregate_id
 LIMIT ?`

// Existing gives the ids in their order. There may be more behind next, also
// when there are fewer than the limit; it is the nil UUID at the end.
func (l *Log) Existing(ctx context.Context, q Existing) (ids []uuid.UUID, next uuid.UUID, err error) {
	var rows []struct {
		ID      uuid.UUID `bun:"aggregate_id"`
		Existed bool      `bun:"existed"`
		Last    bool      `bun:"last"` // no more were looked at
	}
	err = l.reader.NewRaw(existingSQL, visits, q.Aggregate, q.Position, q.After, visits, visits, q.Limit).Scan(ctx, &rows)
	if err != nil {
		return nil, next, postgres.Fault(fmt.Errorf("list what existed at position %d: %w", q.Position, err))
	}
	for _, r := range rows {
		if r.Existed {
			ids = append(ids, r.ID)
		}
	}
	if n := len(rows); n > 0 && (n == q.Limit || rows[n-1].Last) {
		next = rows[n-1].ID
	}
	return ids, next, nil
}

// Version gives the number of the aggregate's events; 0 if the kind has no such
// aggregate.
func (l *Log) Version(ctx context.Context, aggregate string, id uuid.UUID) (int, error) {
	var versions []int
	err := l.reader.NewSelect().Table("events").Column("version").
		Where("aggregate_id = ?", id).Where("aggregate = ?", aggregate).
		OrderExpr("version DESC").Limit(1).Scan(ctx, &versions)
	if err != nil {
		return 0, postgres.Fault(fmt.Errorf("find the version of %s %s: %w", aggregate, id, err))
	}
	if len(versions) == 0 {
		return 0, nil
	}
	return versions[0], nil
}
