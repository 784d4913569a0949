package httpapi

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the two figures of the edge. Their labels are bounded: methods
// and routes are those registered, status is a class like 2xx.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	labels := []string{"method", "route", "status"}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total",
			Help: "Requests answered, by method, route and class of status.",
		}, labels),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "http_request_duration_seconds",
			Help:    "Time from the headers read to the answer written, by method, route and class of status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, labels),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of requests: %w", err)
		}
	}
	return m, nil
}

// routeMetrics holds the series of one route, found by status class without a
// look-up. Series appear with their first request, so routes nobody uses cost
// the scrape nothing.
type routeMetrics struct {
	metrics       *metrics
	method, route string
	classes       [6]atomic.Pointer[classMetrics]
}

type classMetrics struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

func (m *metrics) of(method, route string) *routeMetrics {
	return &routeMetrics{metrics: m, method: method, route: route}
}

func (rm *routeMetrics) observe(status int, took time.Duration) {
	class := status / 100
	if class < 1 || class >= len(rm.classes) {
		class = http.StatusInternalServerError / 100
	}
	series := rm.classes[class].Load()
	if series == nil {
		name := string(rune('0'+class)) + "xx"
		series = &classMetrics{
			requests: rm.metrics.requests.WithLabelValues(rm.method, rm.route, name),
			seconds:  rm.metrics.seconds.WithLabelValues(rm.method, rm.route, name),
		}
		rm.classes[class].Store(series)
	}
	series.requests.Inc()
	series.seconds.Observe(took.Seconds())
}
