package aggregator

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
)

// Folding computes rows of a view from the log alone, to hold the stored ones
// against them. It uses the view's own rule and none of what keeps the live view.
// It is for one goroutine.
type Folding struct {
	// Add takes the next event of an aggregate, in the order of versions. Its
	// error is an [EventError]: the event cannot be applied.
	Add func(eventsourcing.Recorded) error
	// Differences compares the rows of the aggregates, as the events added so far
	// make them, with those stored.
	Differences func(ctx context.Context, tx bun.IDB, ids []uuid.UUID) ([]Difference, error)
	// Strays gives rows of aggregates that the view has no lock of, at most limit.
	Strays func(ctx context.Context, tx bun.IDB, limit int) ([]uuid.UUID, error)
}

// Difference is a row that is not what its events say. A nil is no row.
type Difference struct {
	AggregateID uuid.UUID       `bun:"aggregate_id"`
	Folded      json.RawMessage `bun:"folded"`
	Stored      json.RawMessage `bun:"stored"`
}

// Fold begins to compute rows of the view.
func (v View) Fold(registry *eventsourcing.Registry) Folding { return v.folding(v.Name, registry) }

// foldingOf is Fold for a view with this rule.
func foldingOf[Row, E any](evolve eventsourcing.Evolve[Row, E]) func(string, *eventsourcing.Registry) Folding {
	return func(view string, registry *eventsourcing.Registry) Folding {
		rows := make(map[uuid.UUID]*Row)
		return Folding{
			Add: func(e eventsourcing.Recorded) error {
				newest, payload, broken := registry.Read(e)
				next, err := step(rows[e.AggregateID], newest, payload, broken, evolve)
				if err != nil {
					return &EventError{Event: e, Err: err}
				}
				rows[e.AggregateID] = next
				return nil
			},
			Differences: func(ctx context.Context, tx bun.IDB, ids []uuid.UUID) ([]Difference, error) {
				var folded []*Row
				for _, id := range ids {
					if row := rows[id]; row != nil {
						folded = append(folded, row)
					}
				}
				return tableOf[Row](tx, view).differences(ctx, tx, folded, ids)
			},
			Strays: func(ctx context.Context, tx bun.IDB, limit int) ([]uuid.UUID, error) {
				return tableOf[Row](tx, view).strays(ctx, tx, limit)
			},
		}
	}
}

// differences compares rows with those stored under the ids.
//
// Why in SQL: the rows go there the way they would be written, so what counts is
// what PostgreSQL calls equal, and a column's Go type may lose nothing.
func (t table[Row]) differences(ctx context.Context, db bun.IDB, rows []*Row, ids []uuid.UUID) ([]Difference, error) {
	c, err := t.columns(rows)
	if err != nil {
		return nil, err
	}
	query := fmt.Sprintf(`WITH folded AS (SELECT * FROM %[1]s AS f (%[2]s)),
	      stored AS (SELECT %[2]s FROM ? WHERE %[3]s = ANY (?::uuid[]))
	 SELECT coalesce(f.%[3]s, s.%[3]s) AS aggregate_id, to_jsonb(f) AS folded, to_jsonb(s) AS stored
	   FROM folded f FULL JOIN stored s ON s.%[3]s = f.%[3]s
	  WHERE to_jsonb(f) IS DISTINCT FROM to_jsonb(s)
	  ORDER BY 1`, c.unnest, c.names, t.key.SQLName)
	var found []Difference
	err = db.NewRaw(query, append(c.args, bun.Ident(t.name), pgdialect.Array(ids))...).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("compare %d rows of %s: %w", len(ids), t.name, err)
	}
	return found, nil
}

func (t table[Row]) strays(ctx context.Context, db bun.IDB, limit int) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	err := db.NewRaw(fmt.Sprintf(`SELECT s.%[1]s FROM ? AS s
	  WHERE NOT EXISTS (SELECT FROM view_locks l WHERE l.view = ? AND l.aggregate_id = s.%[1]s)
	  ORDER BY 1 LIMIT ?`, t.key.SQLName), bun.Ident(t.name), t.name, limit).Scan(ctx, &ids)
	if err != nil {
		return nil, fmt.Errorf("look for rows of %s that have no lock: %w", t.name, err)
	}
	return ids, nil
}
