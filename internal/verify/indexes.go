package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// checkIndexes looks for the indexes that keep things unique.
func checkIndexes(ctx context.Context, q *inquiry) error {
	required := []struct{ table, columns string }{
		{"events", "position"},
		{"events", "id"},
		{"events", "aggregate_id,version"},
		{"event_seals", "number"},
		{"event_types", "name"},
		{"event_log_head", "singleton"},
		{"view_positions", "view"},
		{"view_locks", "view,aggregate_id"},
		{"view_parked", "view,aggregate_id"},
	}
	var indexes []string
	err := q.tx.NewRaw(`SELECT c.relname || ' ' || string_agg(a.attname, ',' ORDER BY k.nth)
	   FROM pg_index i
	   JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = current_schema()::regnamespace
	  CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, nth)
	   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
	  WHERE i.indisunique AND i.indisvalid AND i.indisready AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
	  GROUP BY c.relname, i.indexrelid`).Scan(ctx, &indexes)
	if err != nil {
		return fmt.Errorf("read the indexes: %w", err)
	}
	for _, i := range required {
		if !slices.Contains(indexes, i.table+" "+i.columns) {
			q.found(0, "table %s has no valid unique index on (%s)", i.table, strings.ReplaceAll(i.columns, ",", ", "))
		}
	}
	return nil
}
