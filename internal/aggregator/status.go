package aggregator

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
)

// Status is how a view stands, read from the database: it is true whether or
// not this process, its listener or any other replica works.
type Status struct {
	Name         string  `json:"name"`
	Aggregate    string  `json:"aggregate"`
	Position     int64   `json:"position"      doc:"The last position of the log that the view has read."`
	HeadPosition int64   `json:"head_position" doc:"The last position of the log."`
	LagEvents    int64   `json:"lag_events"    doc:"How many events the view has not read."`
	LagSeconds   float64 `json:"lag_seconds"   doc:"The age of the first of them; 0 when there is none."`
	Status       string  `json:"status"        enum:"live,behind,rebuilding,halted" doc:"behind: the first unread event is older than two seconds. halted: too much was parked."`
	Parked       int     `json:"parked"        doc:"Aggregates whose next event the view could not apply."`
	Revision     int     `json:"revision"      doc:"The version of the rule that the rows were made by."`
	// Reason is for people.
	Reason  string         `json:"reason,omitempty"  doc:"Why the view does not move, where that is known."`
	Rebuild *RebuildStatus `json:"rebuild,omitempty" doc:"The rebuild that is under way."`
}

// SchemaName is what clients know the type as, who know no packages.
func (Status) SchemaName() string { return "ViewStatus" }

// RebuildStatus is how far a rebuild is.
type RebuildStatus struct {
	Position  int64              `json:"position"         doc:"The last position of the log that it has read."`
	Of        int64              `json:"of"               doc:"The position it has to reach."`
	Revision  int                `json:"revision"         doc:"The version of the rule that it makes the rows by."`
	StartedAt eventsourcing.Time `json:"started_at"       doc:"When it began."`
	Parked    int                `json:"parked"           doc:"Aggregates whose next event it could not apply."`
	Halted    string             `json:"halted,omitempty" doc:"Why it was given up, where it was. The view is as it was; ask again to begin anew."`
}

// behindAfter is the age of the oldest unread event from which a view is called
// behind. Below it, it is just working.
const behindAfter = 2 * time.Second

// statusRow is a line of the query below.
type statusRow struct {
	Position   int64              `bun:"position"`
	Head       int64              `bun:"head"`
	LagSeconds float64            `bun:"lag_seconds"`
	Revision   int                `bun:"revision"`
	Halted     string             `bun:"halted"`
	Parked     int                `bun:"parked"`
	Aggregate  string             `bun:"next_aggregate"` // of the first unread event
	Event      string             `bun:"next_name"`
	Schema     int                `bun:"next_schema_version"`
	Rebuilding bool               `bun:"rebuilding"`
	RPosition  int64              `bun:"rebuild_position"`
	RRevision  int                `bun:"rebuild_revision"`
	RStarted   eventsourcing.Time `bun:"rebuild_started"`
	RHalted    string             `bun:"rebuild_halted"`
	RParked    int                `bun:"rebuild_parked"`
}

// Status gives the standing of every view, in the order of their definition.
func (r *Runner) Status(ctx context.Context) ([]Status, error) {
	all := make([]Status, 0, len(r.views))
	if len(r.views) == 0 {
		return all, nil
	}
	names := make([]string, len(r.views))
	for i, v := range r.views {
		names[i] = v.Name
	}
	var rows []statusRow
	// lag_seconds is the age of the first event the view has not read: the
	// longest that anybody waits for it now.
	err := r.reader.NewRaw(`SELECT coalesce(v."position", 0) AS "position", h."position" AS head,
	        coalesce(extract(epoch FROM clock_timestamp() - e.recorded_at), 0)::float8 AS lag_seconds,
	        coalesce(v.revision, 0) AS revision, coalesce(v.halted, '') AS halted,
	        (SELECT count(*) FROM view_parked p WHERE p.view = d.name) AS parked,
	        coalesce(e.aggregate, '') AS next_aggregate, coalesce(e.name, '') AS next_name, coalesce(e.schema_version, 0) AS next_schema_version,
	        b.view IS NOT NULL AS rebuilding, coalesce(b."position", 0) AS rebuild_position, coalesce(b.revision, 0) AS rebuild_revision,
	        coalesce(b.started_at, now()) AS rebuild_started, coalesce(b.halted, '') AS rebuild_halted,
	        (SELECT count(*) FROM view_parked p WHERE p.view = b.view) AS rebuild_parked
	   FROM unnest(ARRAY[?]) WITH ORDINALITY AS d (name, ordinal)
	  CROSS JOIN event_log_head h
	   LEFT JOIN view_positions v ON v.view = d.name
	   LEFT JOIN view_positions b ON b.view = d.name || ?
	   LEFT JOIN events e ON e."position" = coalesce(v."position", 0) + 1
	  ORDER BY d.ordinal`, bun.List(names), rebuildSuffix).Scan(ctx, &rows)
	if err != nil {
		return nil, postgres.Fault(fmt.Errorf("read the standing of the views: %w", err))
	}
	for i, row := range rows {
		all = append(all, r.status(r.views[i], row))
	}
	return all, nil
}

func (r *Runner) status(v View, row statusRow) Status {
	s := Status{
		Name: v.Name, Aggregate: v.Aggregate, Position: row.Position, HeadPosition: row.Head,
		LagEvents: max(row.Head-row.Position, 0), LagSeconds: max(row.LagSeconds, 0), Parked: row.Parked, Revision: row.Revision,
	}
	if row.Rebuilding {
		s.Rebuild = &RebuildStatus{
			Position: row.RPosition, Of: row.Position, Revision: row.RRevision, StartedAt: row.RStarted,
			Parked: row.RParked, Halted: row.RHalted,
		}
	}
	switch {
	case row.Halted != "":
		s.Status, s.Reason = "halted", row.Halted+". Retry what is parked when the cause is mended, or rebuild the view."
	case row.Rebuilding:
		s.Status = "rebuilding"
	case s.LagSeconds > behindAfter.Seconds():
		s.Status = "behind"
	default:
		s.Status = "live"
	}
	switch {
	case s.Reason != "" || s.LagEvents == 0:
	case row.Revision > v.Revision:
		s.Reason = fmt.Sprintf("It is kept by a newer program: revision %d, this one has %d. If that is gone for good: app views rebuild %s --take-back.",
			row.Revision, v.Revision, v.Name)
	case row.Aggregate == v.Aggregate && !knows(r.registry, row.Event, row.Schema):
		s.Reason = fmt.Sprintf("It waits for a newer program to apply %s version %d at position %d.", row.Event, row.Schema, row.Position+1)
	}
	return s
}

// stopped is 1 when somebody has to do something before the view or its rebuild
// goes on.
func (s Status) stopped() float64 {
	if s.Status == "halted" || s.Rebuild != nil && s.Rebuild.Halted != "" {
		return 1
	}
	return 0
}
