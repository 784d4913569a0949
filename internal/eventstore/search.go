package eventstore

import (
	"cmp"
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
)

// SearchWindow is how many positions one search looks at where no index knows
// the answer: some 3 ms of work whatever the length of the log. Why no index for
// every column: each would cost every append 9 %.
const SearchWindow = 20_000

// Search selects events for people, who want the newest first, or those from
// some place on. The zero value of a field is no condition.
type Search struct {
	After  int64 // positions greater than this
	Before int64 // positions less than this
	// Rising gives the events in the order of the log instead of the newest
	// first.
	Rising        bool
	Aggregate     string
	AggregateID   uuid.UUID
	Name          string
	Actor         string
	CorrelationID string
	CausationID   string
	Limit         int
	// Window is how many positions are looked at, at most, where no index knows
	// the answer; 0 means SearchWindow.
	Window int64
}

// Found is what a search came to. The events of positions in (After, Before)
// were looked at; More says that the search has not seen all of the log that
// it was asked for.
type Found struct {
	Events        []eventsourcing.Recorded
	After, Before int64
	More          bool
}

// Search looks for events, at most Limit of them and, without an aggregate's id
// or a correlation to find them by, in at most [SearchWindow] positions. To go
// on, search again from the edge of what was looked at.
func (l *Log) Search(ctx context.Context, s Search) (Found, error) {
	head, err := l.Head(ctx)
	if err != nil {
		return Found{}, err
	}
	f := Found{After: max(s.After, 0), Before: head + 1}
	if s.Before > 0 {
		f.Before = min(f.Before, s.Before)
	}
	full := f
	if s.AggregateID == uuid.Nil && s.CorrelationID == "" {
		f.narrow(cmp.Or(s.Window, SearchWindow), s.Rising)
	}
	if f.Events, err = scan(ctx, s.from(l.reader, f), 0); err != nil {
		return Found{}, postgres.Fault(fmt.Errorf("search the log from position %d to %d: %w", f.After, f.Before, err))
	}
	if s.Limit > 0 && len(f.Events) == s.Limit {
		f.end(s.Rising)
	}
	f.More = f.After > full.After || f.Before < full.Before
	return f, nil
}

// narrow leaves one window of what was asked for.
func (f *Found) narrow(window int64, rising bool) { //nolint:revive // flag-parameter: it is the order of the query
	if rising {
		f.Before = min(f.Before, f.After+window+1)
		return
	}
	f.After = max(f.After, f.Before-window-1)
}

// end says that nothing was looked at beyond the last event found.
func (f *Found) end(rising bool) { //nolint:revive // as above
	last := f.Events[len(f.Events)-1].Position
	if rising {
		f.Before = last + 1
		return
	}
	f.After = last - 1
}

func (s Search) from(db bun.IDB, f Found) *bun.SelectQuery {
	// Why by version: an aggregate's versions and positions have the same order,
	// and there is an index for versions.
	position, order := positionColumn, positionColumn
	if s.AggregateID != uuid.Nil {
		position, order = positionOfFew, "e.version"
	}
	q := db.NewSelect().TableExpr("events AS e").ColumnExpr(eventColumns).
		Where(position+" > ?", f.After).Where(position+" < ?", f.Before)
	if s.AggregateID != uuid.Nil {
		q = q.Where("e.aggregate_id = ?", s.AggregateID)
	}
	if !s.Rising {
		order += " DESC"
	}
	for column, value := range map[string]string{
		"e.aggregate": s.Aggregate, "e.name": s.Name, "e.actor": s.Actor,
		"e.metadata ->> 'correlation_id'": s.CorrelationID, "e.metadata ->> 'causation_id'": s.CausationID,
	} {
		if value != "" {
			q = q.Where(column+" = ?", value)
		}
	}
	if s.Limit > 0 {
		q = q.Limit(int64(s.Limit))
	}
	return q.OrderExpr(order)
}

// Tally counts the events of one name and schema version in a stretch of the
// log, and says where the first and the last of them are.
type Tally struct {
	Name          string             `bun:"name"`
	SchemaVersion int                `bun:"schema_version"`
	Count         int64              `bun:"count"`
	FirstAt       eventsourcing.Time `bun:"first_at"`
	LastAt        eventsourcing.Time `bun:"last_at"`
	LastPosition  int64              `bun:"last_position"`
}

// Tally counts the events in (after, upTo]. What was counted once never
// changes, so whoever keeps the sum has to count only what came since.
func (l *Log) Tally(ctx context.Context, after, upTo int64) ([]Tally, error) {
	var tallies []Tally
	// min and max are the times of the first and the last: recorded_at never falls
	// along positions.
	err := l.reader.NewRaw(`SELECT name, schema_version, count(*) AS count, min(recorded_at) AS first_at,
	        max(recorded_at) AS last_at, max("position") AS last_position
	   FROM events WHERE "position" > ? AND "position" <= ? GROUP BY name, schema_version`, after, upTo).Scan(ctx, &tallies)
	if err != nil {
		return nil, postgres.Fault(fmt.Errorf("count the events from position %d to %d: %w", after, upTo, err))
	}
	return tallies, nil
}

// Size is how much room things take, in bytes.
type Size struct {
	Database      int64 `bun:"database"`
	Events        int64 `bun:"events"`         // the log without its indexes
	EventsIndexes int64 `bun:"events_indexes"` // those
}

// Size asks the database how large it is.
func (l *Log) Size(ctx context.Context) (Size, error) {
	var s Size
	err := l.reader.NewRaw(`SELECT pg_database_size(current_database()) AS database,
	        pg_table_size('events'::regclass) AS events, pg_indexes_size('events'::regclass) AS events_indexes`).Scan(ctx, &s)
	if err != nil {
		return s, postgres.Fault(fmt.Errorf("measure the database: %w", err))
	}
	return s, nil
}
