package aggregator

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"
)

// Status is how a view stands, read from the database: it is true whether or
// not this process, its listener or any other replica works.
type Status struct {
	Name         string  `bun:"name"          json:"name"`
	Aggregate    string  `bun:"aggregate"     json:"aggregate"`
	Position     int64   `bun:"position"      json:"position"`
	HeadPosition int64   `bun:"head_position" json:"head_position"`
	LagEvents    int64   `bun:"lag_events"    json:"lag_events"`
	LagSeconds   float64 `bun:"lag_seconds"   json:"lag_seconds"`
	Status       string  `bun:"status"        json:"status"`
	Parked       int     `bun:"parked"        json:"parked"`
}

// behindAfter is the age of the oldest unread event from which a view is called
// behind. Below it, it is just working.
const behindAfter = 2 * time.Second

// Status gives the standing of every view, in the order of their definition.
func (r *Runner) Status(ctx context.Context) ([]Status, error) {
	all := make([]Status, 0, len(r.views))
	if len(r.views) == 0 {
		return all, nil
	}
	names := make([]string, len(r.views))
	aggregates := make([]string, len(r.views))
	for i, v := range r.views {
		names[i], aggregates[i] = v.Name, v.Aggregate
	}
	// lag_seconds is the age of the first event the view has not read: the
	// longest that anybody waits for it now.
	err := r.db.NewRaw(`SELECT d.name, d.aggregate, coalesce(v."position", 0) AS "position", h."position" AS head_position,
	        h."position" - coalesce(v."position", 0) AS lag_events,
	        coalesce(extract(epoch FROM clock_timestamp() - e.recorded_at), 0)::float8 AS lag_seconds,
	        CASE WHEN e.recorded_at < clock_timestamp() - ? * interval '1 second' THEN 'behind' ELSE 'live' END AS status,
	        (SELECT count(*) FROM view_parked p WHERE p.view = d.name) AS parked
	   FROM unnest(ARRAY[?], ARRAY[?]) WITH ORDINALITY AS d (name, aggregate, ordinal)
	  CROSS JOIN event_log_head h
	   LEFT JOIN view_positions v ON v.view = d.name
	   LEFT JOIN events e ON e."position" = coalesce(v."position", 0) + 1
	  ORDER BY d.ordinal`, behindAfter.Seconds(), bun.List(names), bun.List(aggregates)).Scan(ctx, &all)
	if err != nil {
		return nil, fmt.Errorf("read the standing of the views: %w", err)
	}
	return all, nil
}

type metrics struct {
	events   *prometheus.CounterVec
	batches  *prometheus.HistogramVec
	failures *prometheus.CounterVec
	parked   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) metrics {
	view := []string{"view"}
	m := metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onepg_view_events_applied_total", Help: "Events applied to a view by this process.",
		}, view),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "onepg_view_batch_duration_seconds", Help: "Time of one batch of a view, a transaction.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, view),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onepg_view_batch_failures_total", Help: "Batches rolled back because of a fault.",
		}, view),
		parked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onepg_view_parkings_total", Help: "Times an aggregate was parked because an event could not be applied.",
		}, view),
	}
	r.MustRegister(m.events, m.batches, m.failures, m.parked)
	return m
}

func (m metrics) observe(view string, r result, took time.Duration) {
	m.events.WithLabelValues(view).Add(float64(r.events))
	m.batches.WithLabelValues(view).Observe(took.Seconds())
	m.parked.WithLabelValues(view).Add(float64(len(r.parked)))
}
