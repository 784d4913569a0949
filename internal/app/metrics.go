package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"onepg/internal/listener"
)

// measure publishes what is asked for when Prometheus asks: the listener's
// counters and the lag of each view as the database knows it.
func (a *App) measure() {
	counter := func(name, help string, value func(listener.Status) float64) {
		a.metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return value(a.listener.Status()) }))
	}
	counter("onepg_listener_reconnects_total", "Times the subscription was lost and proved again.",
		func(s listener.Status) float64 { return float64(s.Reconnects) })
	counter("onepg_listener_notifications_total", "Notifications received.",
		func(s listener.Status) float64 { return float64(s.Notifications) })
	counter("onepg_listener_ignored_total", "Notifications that the trigger cannot have sent.",
		func(s listener.Status) float64 { return float64(s.Ignored) })
	a.metrics.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "onepg_listener_listening", Help: "1 while the subscription is proved; 0 while only the timer wakes the views.",
		}, func() float64 {
			if a.listener.Status().Mode == listener.Listening {
				return 1
			}
			return 0
		}),
		viewCollector{a: a},
	)
}

// viewCollector asks the database how far the views are. A database that does
// not answer leaves the figures out instead of showing old ones.
type viewCollector struct{ a *App }

//nolint:gochecknoglobals // the descriptions are constants
var (
	lagEvents  = prometheus.NewDesc("onepg_view_lag_events", "Events in the log that the view has not read.", []string{"view"}, nil)
	lagSeconds = prometheus.NewDesc("onepg_view_lag_seconds", "Age of the oldest event that the view has not read.", []string{"view"}, nil)
	parked     = prometheus.NewDesc("onepg_view_parked_aggregates", "Aggregates whose next event the view could not apply.", []string{"view"}, nil)
	logHead    = prometheus.NewDesc("onepg_log_head_position", "The last position of the log.", nil, nil)
)

// Describe is for Prometheus.
func (viewCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- lagEvents
	ch <- lagSeconds
	ch <- parked
	ch <- logHead
}

// Collect is for Prometheus.
func (c viewCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	views, err := c.a.views.Status(ctx)
	if err != nil {
		return
	}
	for _, v := range views {
		ch <- prometheus.MustNewConstMetric(lagEvents, prometheus.GaugeValue, float64(v.LagEvents), v.Name)
		ch <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, v.LagSeconds, v.Name)
		ch <- prometheus.MustNewConstMetric(parked, prometheus.GaugeValue, float64(v.Parked), v.Name)
	}
	if head, err := c.a.log.Head(ctx); err == nil {
		ch <- prometheus.MustNewConstMetric(logHead, prometheus.CounterValue, float64(head))
	}
}
