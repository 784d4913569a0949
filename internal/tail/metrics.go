package tail

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the figures of all streams of a process, by the stream's name.
type Metrics struct {
	clients  *prometheus.GaugeVec
	dropped  *prometheus.CounterVec
	messages *prometheus.CounterVec
	lag      *prometheus.HistogramVec
}

// NewMetrics registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	stream := []string{"stream"}
	m := &Metrics{
		clients: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "onepg_stream_clients", Help: "Clients that follow the stream now.",
		}, stream),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onepg_stream_clients_dropped_total",
			Help: "Clients cut off because they were too slow: stalled in one write, or overrun by more messages than are kept.",
		}, []string{"stream", "reason"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "onepg_stream_messages_total", Help: "Messages handed to clients; one for each client that gets it.",
		}, stream),
		lag: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "onepg_stream_lag_seconds",
			Help:    "Time from the recording of an event until its message is there for the stream's clients to take.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, stream),
	}
	r.MustRegister(m.clients, m.dropped, m.messages, m.lag)
	return m
}

// streamMetrics are those of one stream.
type streamMetrics struct {
	clients          prometheus.Gauge
	overrun, stalled prometheus.Counter
	messages         prometheus.Counter
	lag              prometheus.Observer
}

func (m *Metrics) of(stream string) streamMetrics {
	return streamMetrics{
		clients:  m.clients.WithLabelValues(stream),
		overrun:  m.dropped.WithLabelValues(stream, "overrun"),
		stalled:  m.dropped.WithLabelValues(stream, "stalled"),
		messages: m.messages.WithLabelValues(stream),
		lag:      m.lag.WithLabelValues(stream),
	}
}

func (m streamMetrics) published(messages []*Message, now time.Time) {
	for _, message := range messages {
		m.lag.Observe(now.Sub(message.RecordedAt).Seconds())
	}
}
