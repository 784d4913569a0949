package verify

import (
	"context"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
)

// page is how many events are held at once.
const page = 1000

// inspector looks at one event after the other.
type inspector interface {
	// page takes the next events, in the order of positions.
	page(ctx context.Context, events []eventsourcing.Recorded) error
	// end says that no event follows.
	end(ctx context.Context) error
}

// inspectors are those that look at the log. A new one is a type and a line here.
func (r *run) inspectors(ctx context.Context) ([]inspector, error) {
	order, err := r.newOrder(ctx)
	if err != nil {
		return nil, err
	}
	chain, err := r.newChain(ctx)
	if err != nil {
		return nil, err
	}
	all := []inspector{order, chain, snapshots{r}}
	if r.Sample == 0 {
		all = append(all, rows{r})
	}
	return all, nil
}

// scan reads the range once and shows it to the inspectors.
func (r *run) scan(ctx context.Context) error {
	all, err := r.inspectors(ctx)
	if err != nil {
		return err
	}
	for {
		events, err := eventstore.ReadFrom(ctx, r.DB, eventstore.Query{After: r.report.CheckedTo, UpTo: r.report.To, Limit: page})
		if err != nil {
			return err
		}
		// Why not at the first short page: there may be more where a position
		// comes twice, and one more question costs nothing.
		if len(events) == 0 {
			break
		}
		for _, i := range all {
			if err := i.page(ctx, events); err != nil {
				return err
			}
		}
		r.report.Events += int64(len(events))
		r.checked(events[len(events)-1].Position)
	}
	for _, i := range all {
		if err := i.end(ctx); err != nil {
			return err
		}
	}
	r.checked(r.report.To)
	return nil
}

// checked notes how far the scan has come.
func (r *run) checked(position int64) {
	r.report.CheckedTo = position
	r.Progress(position, r.report.To)
}

// begun gives the aggregates that begin among the events, by their kind. Each
// begins once, so ranges share the work.
func begun(events []eventsourcing.Recorded) map[string][]uuid.UUID {
	ids := make(map[string][]uuid.UUID)
	for _, e := range events {
		if e.Version == 1 {
			ids[e.Aggregate] = append(ids[e.Aggregate], e.AggregateID)
		}
	}
	return ids
}
