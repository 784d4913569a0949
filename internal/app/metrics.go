package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"onepg/internal/listener"
)

// measure publishes what is asked for when Prometheus asks: the listener's
// counters and the head of the log. The views publish their own.
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
		headCollector{a: a},
	)
}

// headCollector asks the database how long the log is. One that does not answer
// leaves the figure out instead of showing an old one.
type headCollector struct{ a *App }

//nolint:gochecknoglobals // the description is a constant
var logHead = prometheus.NewDesc("onepg_log_head_position", "The last position of the log.", nil, nil)

// Describe is for Prometheus.
func (headCollector) Describe(ch chan<- *prometheus.Desc) { ch <- logHead }

// Collect is for Prometheus.
func (c headCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	if head, err := c.a.log.Head(ctx); err == nil {
		ch <- prometheus.MustNewConstMetric(logHead, prometheus.CounterValue, float64(head))
	}
}
