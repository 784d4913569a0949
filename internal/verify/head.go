package verify

import (
	"context"
	"fmt"

	"onepg/internal/eventsourcing"
)

// checkHead holds the end of the log against what the head says.
func checkHead(ctx context.Context, q *inquiry) error {
	var head struct {
		Rows  int                `bun:"rows"`
		Time  eventsourcing.Time `bun:"time"`
		First int64              `bun:"first"`
		Last  int64              `bun:"last"`
		Head  int64              `bun:"head"`
		Falls bool               `bun:"falls"`
	}
	err := q.tx.NewRaw(`SELECT (SELECT count(*) FROM event_log_head) AS rows, coalesce(h."position", 0) AS head,
	        e.first, e.last, coalesce(h.recorded_at < (SELECT max(l.recorded_at) FROM events l WHERE l."position" = e.last), false) AS falls
	   FROM (SELECT coalesce(min("position"), 1) AS first, coalesce(max("position"), 0) AS last FROM events) e
	   LEFT JOIN event_log_head h ON true LIMIT 1`).Scan(ctx, &head)
	if err != nil {
		return fmt.Errorf("compare the log's head with its end: %w", err)
	}
	switch {
	case head.Rows != 1:
		q.found(0, "event_log_head has %d rows and must have one", head.Rows)
	case head.Last > head.Head:
		q.found(head.Head+1, "there are events up to position %d after the head of the log, position %d: they were not appended", head.Last, head.Head)
	case head.Last < head.Head:
		q.found(head.Last+1, "the log ends at position %d and its head is %d: its last events are missing", head.Last, head.Head)
	case head.Falls:
		q.found(head.Last, "the last event was recorded after the time of the log's head")
	}
	if head.First < 1 {
		q.found(0, "there is an event at position %d: positions begin at 1", head.First)
	}
	return nil
}
