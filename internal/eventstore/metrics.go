package eventstore

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	batchEvents  prometheus.Histogram
	batchSeconds prometheus.Histogram
	repeated     prometheus.Counter
	snapshots    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		batchEvents: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "onepg_append_batch_events",
			Help:    "Events in one call of append_events.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		batchSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "onepg_append_batch_duration_seconds",
			Help:    "Time of one call of append_events with its commit.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2, 16),
		}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "onepg_append_batches_repeated_total",
			Help: "Batches sent again because the connection broke and their outcome was unknown.",
		}),
		snapshots: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onepg_snapshots_total",
			Help: "Snapshots by what became of them: written, failed, or forgotten because too many waited.",
		}, []string{"outcome"}),
	}
	r.MustRegister(m.batchEvents, m.batchSeconds, m.repeated, m.snapshots)
	return m
}
