package verify

import (
	"context"
	"fmt"
	"strings"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
)

// order checks what one event says about the next.
type order struct {
	r        *run
	position int64
	time     eventsourcing.Time
	schemas  map[string]int // the newest schema version of each known name
}

func (r *run) newOrder(ctx context.Context) (*order, error) {
	o := &order{r: r, position: r.report.From - 1, schemas: make(map[string]int)}
	var types []struct {
		Name          string `bun:"name"`
		SchemaVersion int    `bun:"schema_version"`
	}
	if err := r.DB.NewRaw("SELECT name, schema_version FROM event_types").Scan(ctx, &types); err != nil {
		return nil, fmt.Errorf("read the catalogue of events: %w", err)
	}
	for _, t := range types {
		o.schemas[t.Name] = t.SchemaVersion
	}
	if o.position == 0 {
		return o, nil
	}
	before, err := eventstore.ReadFrom(ctx, r.DB, eventstore.Query{After: o.position - 1, UpTo: o.position, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(before) == 1 {
		o.time = before[0].RecordedAt
	}
	return o, nil
}

func (o *order) page(_ context.Context, events []eventsourcing.Recorded) error {
	for _, e := range events {
		o.follow(e)
	}
	return nil
}

// follow holds an event against the one before.
func (o *order) follow(e eventsourcing.Recorded) {
	if e.Position > o.position+1 {
		o.found(o.position+1, "%s", missing(o.position+1, e.Position-1))
	}
	if e.RecordedAt.Before(o.time.Time) {
		o.found(e.Position, "the event was recorded at %s, before the one at position %d", e.RecordedAt, o.position)
	}
	if newest, known := o.schemas[e.Name]; !known {
		o.found(e.Position, "event_types does not have %s", e.Name)
	} else if e.SchemaVersion < 1 || e.SchemaVersion > newest {
		o.found(e.Position, "%s has schema version %d, and event_types knows 1 to %d", e.Name, e.SchemaVersion, newest)
	}
	if kind, _, _ := strings.Cut(e.Name, "."); kind != e.Aggregate {
		o.found(e.Position, "%s is filed under aggregate %q", e.Name, e.Aggregate)
	}
	o.position, o.time = e.Position, e.RecordedAt
}

func (o *order) end(context.Context) error {
	if o.position < o.r.report.To && o.r.report.To < o.r.head {
		// At the end of the log itself the head's check says so.
		o.found(o.position+1, "%s", missing(o.position+1, o.r.report.To))
	}
	return nil
}

func (o *order) found(position int64, format string, args ...any) {
	o.r.add(Finding{Check: "log", Position: position, Detail: fmt.Sprintf(format, args...)})
}

func missing(first, last int64) string {
	if first == last {
		return fmt.Sprintf("position %d is missing", first)
	}
	return fmt.Sprintf("positions %d to %d are missing", first, last)
}
