package verify

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
)

// checkViews holds each view's books against the log: nothing is applied that
// has not happened.
func checkViews(ctx context.Context, q *inquiry) error {
	for _, v := range q.Views {
		b := books{q, v}
		for _, part := range []func(context.Context) error{b.position, b.locks, b.rows, b.parked} {
			if err := part(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// books are what a view writes down beside its rows.
type books struct {
	*inquiry

	view aggregator.View
}

// foundOf adds a finding about an aggregate.
func (b books) foundOf(id uuid.UUID, detail string) {
	b.add(Finding{Check: b.check, View: b.view.Name, AggregateID: &id, Detail: detail})
}

func (b books) note(f Finding) {
	f.Check, f.View = b.check, b.view.Name
	b.report.Notes = append(b.report.Notes, f)
}

// position holds how far the view has read against the log.
func (b books) position(ctx context.Context) error {
	var positions []struct {
		Position int64 `bun:"position"`
		Revision int   `bun:"revision"`
		Ahead    bool  `bun:"ahead"`
	}
	err := b.tx.NewRaw(`SELECT p."position", p.revision, p."position" > coalesce(h."position", 0) AS ahead
	   FROM view_positions p LEFT JOIN event_log_head h ON true WHERE p.view = ?`, b.view.Name).Scan(ctx, &positions)
	if err != nil {
		return fmt.Errorf("compare the position of view %s with the log: %w", b.view.Name, err)
	}
	for _, p := range positions {
		if p.Ahead {
			b.add(Finding{
				Check: b.check, View: b.view.Name,
				Detail: fmt.Sprintf("the view has read up to position %d, and the log does not go so far", p.Position),
			})
		}
		if p.Revision != b.view.Revision {
			b.otherRevision[b.view.Name] = true
			b.note(Finding{Detail: fmt.Sprintf("the rows are of revision %d, this program's rule is %d: they are not compared", p.Revision, b.view.Revision)})
		}
	}
	return nil
}

// locks looks for locks of aggregates that the log does not have.
func (b books) locks(ctx context.Context) error {
	var ids []uuid.UUID
	err := b.tx.NewRaw(`SELECT l.aggregate_id FROM view_locks l
	  WHERE l.view = ? AND NOT EXISTS (SELECT FROM events e WHERE e.aggregate_id = l.aggregate_id AND e.version = 1 AND e.aggregate = ?)
	  ORDER BY 1 LIMIT ?`, b.view.Name, b.view.Aggregate, maxFindings).Scan(ctx, &ids)
	if err != nil {
		return fmt.Errorf("look for locks of view %s without events: %w", b.view.Name, err)
	}
	for _, id := range ids {
		b.foundOf(id, "the view has applied events of an aggregate that the log does not have")
	}
	return nil
}

// rows looks for rows that no event has made.
func (b books) rows(ctx context.Context) error {
	ids, err := b.view.Fold(b.Registry).Strays(ctx, b.tx, maxFindings)
	for _, id := range ids {
		b.foundOf(id, "there is a row and the view has applied no event that makes it")
	}
	return err
}

// parked notes the aggregates that the view has set aside.
func (b books) parked(ctx context.Context) error {
	var parked []struct {
		AggregateID uuid.UUID `bun:"aggregate_id"`
		Position    int64     `bun:"position"`
		Error       string    `bun:"error"`
	}
	err := b.tx.NewRaw(`SELECT aggregate_id, "position", error FROM view_parked WHERE view = ? ORDER BY "position" LIMIT ?`,
		b.view.Name, maxFindings).Scan(ctx, &parked)
	if err != nil {
		return fmt.Errorf("list what view %s has parked: %w", b.view.Name, err)
	}
	for _, p := range parked {
		b.note(Finding{Position: p.Position, AggregateID: &p.AggregateID, Detail: "set aside by the view: " + p.Error})
	}
	return nil
}
