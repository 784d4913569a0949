package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// sample compares the rows of some aggregates, taken by the positions of events:
// what changed often is looked at more likely.
func (r *run) sample(ctx context.Context) error {
	if r.Sample == 0 || r.report.To < r.report.From {
		return nil
	}
	r.Asking("rows")
	for _, v := range r.Views {
		var ids []uuid.UUID
		err := r.DB.NewRaw(`SELECT DISTINCT e.aggregate_id
		   FROM (SELECT ? + floor(random() * ?)::bigint AS "position" FROM generate_series(1, ?)) s
		   JOIN events e USING ("position") WHERE e.aggregate = ?`,
			r.report.From, r.report.To-r.report.From+1, r.Sample, v.Aggregate).Scan(ctx, &ids)
		if err != nil {
			return fmt.Errorf("choose a sample of view %s: %w", v.Name, err)
		}
		for chunk := range slices.Chunk(ids, page) {
			if err := r.compare(ctx, v, chunk); err != nil {
				return err
			}
		}
	}
	return nil
}
