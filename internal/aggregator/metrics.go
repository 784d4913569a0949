package aggregator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what this process does, and ask the database how the views
// stand when somebody collects them. A view that is rebuilt appears beside the
// live one under the name of its rebuild.
type metrics struct {
	events   *prometheus.CounterVec
	seconds  *prometheus.CounterVec
	errors   *prometheus.CounterVec
	batches  *prometheus.HistogramVec
	failures *prometheus.CounterVec
}

func newMetrics() metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	return metrics{
		events:  counter("onepg_view_events_applied_total", "Events applied to a view by this process.", "view", "event"),
		seconds: counter("onepg_view_event_seconds_total", "Time spent decoding and folding events.", "view", "event"),
		errors:  counter("onepg_view_event_errors_total", "Times an aggregate was parked because of an event.", "view", "event"),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "onepg_view_batch_duration_seconds", Help: "Time of one batch of a view, a transaction.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"view"}),
		failures: counter("onepg_view_batch_failures_total", "Batches rolled back because of a fault.", "view"),
	}
}

func (m metrics) register(to prometheus.Registerer, r *Runner) error {
	var errs []error
	for _, c := range []prometheus.Collector{m.events, m.seconds, m.errors, m.batches, m.failures, standings{r}} {
		errs = append(errs, to.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("register the metrics of the views: %w", err)
	}
	// What is alerted on is there from the start, so that its rate is right.
	for _, v := range r.views {
		m.failures.WithLabelValues(v.Name)
	}
	return nil
}

func (m metrics) observe(view string, r result, took time.Duration) {
	m.batches.WithLabelValues(view).Observe(took.Seconds())
	for event, n := range r.applied {
		m.events.WithLabelValues(view, event).Add(float64(n))
	}
	for event, took := range r.took {
		m.seconds.WithLabelValues(view, event).Add(took.Seconds())
	}
	for _, p := range r.parked {
		m.errors.WithLabelValues(view, p.Event.Name).Inc()
	}
}

// collectTimeout bounds the look at the database behind a scrape.
const collectTimeout = 2 * time.Second

// standings asks the database how far the views are. One that does not answer
// leaves the figures out instead of showing old ones.
type standings struct{ r *Runner }

//nolint:gochecknoglobals // the descriptions are constants
var (
	lagEvents  = describe("onepg_view_lag_events", "Events in the log that the view has not read.")
	lagSeconds = describe("onepg_view_lag_seconds", "Age of the oldest event that the view has not read.")
	parkedNow  = describe("onepg_view_parked_aggregates", "Aggregates whose next event the view could not apply.")
	haltedNow  = describe("onepg_view_halted", "1 while the view, or its rebuild, stands still because too much was parked.")
	rebuilt    = describe("onepg_view_rebuild_ratio", "How much of its way a rebuild has made, from 0 to 1; absent while there is none.")
)

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"view"}, nil)
}

// Describe is for Prometheus.
func (standings) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lagEvents, lagSeconds, parkedNow, haltedNow, rebuilt} {
		ch <- d
	}
}

// Collect is for Prometheus.
func (s standings) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	views, err := s.r.Status(ctx)
	if err != nil {
		return
	}
	for _, v := range views {
		gauge := func(d *prometheus.Desc, value float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, v.Name)
		}
		gauge(lagEvents, float64(v.LagEvents))
		gauge(lagSeconds, v.LagSeconds)
		gauge(parkedNow, float64(v.Parked))
		gauge(haltedNow, v.stopped())
		if v.Rebuild != nil {
			gauge(rebuilt, float64(v.Rebuild.Position)/float64(max(v.Rebuild.Of, 1)))
		}
	}
}
