package verify

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Why these three ask the table and not its indexes: an index that was dropped,
// or made anew without UNIQUE, or is damaged, would answer as it is.
func pastIndexes(ctx context.Context, q *inquiry) error {
	for _, setting := range [...]string{"enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"} {
		if _, err := q.tx.NewRaw("SELECT set_config(?, 'off', true)", setting).Exec(ctx); err != nil {
			return fmt.Errorf("read past the indexes: %w", err)
		}
	}
	return nil
}

func checkPositions(ctx context.Context, q *inquiry) error {
	if err := pastIndexes(ctx, q); err != nil {
		return err
	}
	var positions []int64
	err := q.tx.NewRaw(`SELECT e."position" FROM events e WHERE e."position" BETWEEN ? AND ?
	  GROUP BY e."position" HAVING count(*) > 1 ORDER BY e."position" LIMIT ?`, q.report.From, q.report.To, maxFindings).Scan(ctx, &positions)
	if err != nil {
		return fmt.Errorf("look for positions that come twice: %w", err)
	}
	for _, p := range positions {
		q.found(p, "position %d comes more than once", p)
	}
	return nil
}

func checkIDs(ctx context.Context, q *inquiry) error {
	if err := pastIndexes(ctx, q); err != nil {
		return err
	}
	var twice []struct {
		ID     uuid.UUID `bun:"id"`
		First  int64     `bun:"first"`
		Second int64     `bun:"second"`
	}
	err := q.tx.NewRaw(`SELECT e.id, min(e."position") AS first, max(e."position") AS second FROM events e WHERE e."position" <= ?1
	  GROUP BY e.id HAVING count(*) > 1 AND max(e."position") >= ?0 ORDER BY 3 LIMIT ?2`,
		q.report.From, q.report.To, maxFindings).Scan(ctx, &twice)
	if err != nil {
		return fmt.Errorf("look for ids that come twice: %w", err)
	}
	for _, d := range twice {
		q.found(d.Second, "event id %s comes at positions %d and %d", d.ID, d.First, d.Second)
	}
	return nil
}

func checkVersions(ctx context.Context, q *inquiry) error {
	if err := pastIndexes(ctx, q); err != nil {
		return err
	}
	var wrong []struct {
		Position    int64     `bun:"position"`
		AggregateID uuid.UUID `bun:"aggregate_id"`
		Version     int       `bun:"version"`
		Before      int       `bun:"before"`
		Kind        string    `bun:"kind"`
		KindBefore  string    `bun:"kind_before"`
	}
	err := q.tx.NewRaw(`SELECT * FROM (
	   SELECT e."position", e.aggregate_id, e.version, e.aggregate AS kind,
	          coalesce(lag(e.version) OVER earlier, 0) AS before, coalesce(lag(e.aggregate) OVER earlier, e.aggregate) AS kind_before
	     FROM events e WHERE e."position" <= ?1
	   WINDOW earlier AS (PARTITION BY e.aggregate_id ORDER BY e."position", e.version)) v
	  WHERE v."position" >= ?0 AND (v.version <> v.before + 1 OR v.kind <> v.kind_before)
	  ORDER BY v."position" LIMIT ?2`, q.report.From, q.report.To, maxFindings).Scan(ctx, &wrong)
	if err != nil {
		return fmt.Errorf("look for versions out of order: %w", err)
	}
	for _, w := range wrong {
		if w.Kind != w.KindBefore {
			q.found(w.Position, "aggregate %s is a %s and was a %s", w.AggregateID, w.Kind, w.KindBefore)
			continue
		}
		q.found(w.Position, "aggregate %s has version %d after version %d", w.AggregateID, w.Version, w.Before)
	}
	return nil
}
