package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
)

// page is how many events are held at once.
const page = 1000

// begin settles which events the run is about.
func (r *run) begin(ctx context.Context) error {
	return r.inSnapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		var last int64
		err := tx.NewRaw(`SELECT coalesce((SELECT h."position" FROM event_log_head h LIMIT 1), 0),
		        coalesce((SELECT max(e."position") FROM events e), 0),
		        coalesce(max(s.number), 0), coalesce(max(s.last_position), 0) FROM event_seals s`).
			Scan(ctx, &r.head, &last, &r.lastSeal, &r.report.SealedTo)
		if err != nil {
			return fmt.Errorf("find the end of the log: %w", err)
		}
		// Where the two differ there is a finding; what is there is looked at.
		r.end = max(r.head, last)
		from, to := max(r.From, 1), r.end
		if r.To > 0 {
			to = min(r.To, r.end)
		}
		err = tx.NewRaw(`SELECT least(?0, min(s.first_position) FILTER (WHERE ?0 BETWEEN s.first_position AND s.last_position)),
		        greatest(?1, max(s.last_position) FILTER (WHERE ?1 BETWEEN s.first_position AND s.last_position))
		   FROM event_seals s`, from, to).Scan(ctx, &from, &to)
		if err != nil {
			return fmt.Errorf("widen the range to whole seals: %w", err)
		}
		r.report.From, r.report.To = from, min(to, r.end)
		r.report.CheckedTo = from - 1
		return nil
	})
}

// checkHead holds the end of the log against what the head says.
func checkHead(r *run, ctx context.Context, tx bun.Tx, found func(int64, string, ...any)) error {
	var head struct {
		Rows  int                `bun:"rows"`
		Time  eventsourcing.Time `bun:"time"`
		First int64              `bun:"first"`
		Last  int64              `bun:"last"`
		Head  int64              `bun:"head"`
		Falls bool               `bun:"falls"`
	}
	err := tx.NewRaw(`SELECT (SELECT count(*) FROM event_log_head) AS rows, coalesce(h."position", 0) AS head,
	        e.first, e.last, coalesce(h.recorded_at < (SELECT max(l.recorded_at) FROM events l WHERE l."position" = e.last), false) AS falls
	   FROM (SELECT coalesce(min("position"), 1) AS first, coalesce(max("position"), 0) AS last FROM events) e
	   LEFT JOIN event_log_head h ON true LIMIT 1`).Scan(ctx, &head)
	if err != nil {
		return fmt.Errorf("compare the log's head with its end: %w", err)
	}
	switch {
	case head.Rows != 1:
		found(0, "event_log_head has %d rows and must have one", head.Rows)
	case head.Last > head.Head:
		found(head.Head+1, "there are events up to position %d after the head of the log, position %d: they were not appended", head.Last, head.Head)
	case head.Last < head.Head:
		found(head.Last+1, "the log ends at position %d and its head is %d: its last events are missing", head.Last, head.Head)
	case head.Falls:
		found(head.Last, "the last event was recorded after the time of the log's head")
	}
	if head.First < 1 {
		found(0, "there is an event at position %d: positions begin at 1", head.First)
	}
	return nil
}

// inspector looks at one event after the other.
type inspector interface {
	// event takes the next event.
	event(e eventsourcing.Recorded)
	// pause is between two pages: time for what needs the database. end says that
	// no event follows.
	pause(ctx context.Context, end bool) error
}

// scan reads the range once and shows it to the inspectors.
func (r *run) scan(ctx context.Context) error {
	order, err := r.newOrder(ctx)
	if err != nil {
		return err
	}
	chain, err := r.newChain(ctx)
	if err != nil {
		return err
	}
	inspectors := []inspector{order, chain, r.newSnapshots()}
	if r.Sample == 0 {
		inspectors = append(inspectors, r.newRows())
	}
	after := r.report.From - 1
	for end := false; !end; {
		events, err := eventstore.ReadFrom(ctx, r.DB, eventstore.Query{After: after, UpTo: r.report.To, Limit: page})
		if err != nil {
			return err
		}
		// Why not at the first short page: there may be more where a position
		// comes twice, and one more question costs nothing.
		if end = len(events) == 0; end {
			after = r.report.To
		} else {
			after = events[len(events)-1].Position
		}
		r.report.Events += int64(len(events))
		for _, i := range inspectors {
			for _, e := range events {
				i.event(e)
			}
			if err := i.pause(ctx, end); err != nil {
				return err
			}
		}
		r.report.CheckedTo = after
		r.Progress(after, r.report.To)
	}
	return nil
}

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

func (o *order) event(e eventsourcing.Recorded) {
	found := func(position int64, format string, args ...any) {
		o.r.found(Finding{Check: "log", Position: position, Detail: fmt.Sprintf(format, args...)})
	}
	if e.Position > o.position+1 {
		found(o.position+1, "%s", missing(o.position+1, e.Position-1))
	}
	if e.RecordedAt.Before(o.time.Time) {
		found(e.Position, "the event was recorded at %s, before the one at position %d", e.RecordedAt, o.position)
	}
	if newest, known := o.schemas[e.Name]; !known {
		found(e.Position, "event_types does not have %s", e.Name)
	} else if e.SchemaVersion < 1 || e.SchemaVersion > newest {
		found(e.Position, "%s has schema version %d, and event_types knows 1 to %d", e.Name, e.SchemaVersion, newest)
	}
	if kind, _, _ := strings.Cut(e.Name, "."); kind != e.Aggregate {
		found(e.Position, "%s is filed under aggregate %q", e.Name, e.Aggregate)
	}
	o.position, o.time = e.Position, e.RecordedAt
}

func (o *order) pause(_ context.Context, end bool) error {
	if end && o.position < o.r.report.To && o.r.report.To < o.r.head {
		// At the end of the log itself the head's check says so.
		o.r.found(Finding{Check: "log", Position: o.position + 1, Detail: missing(o.position+1, o.r.report.To)})
	}
	return nil
}

func missing(first, last int64) string {
	if first == last {
		return fmt.Sprintf("position %d is missing", first)
	}
	return fmt.Sprintf("positions %d to %d are missing", first, last)
}
