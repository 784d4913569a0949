package eventstore

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"

	"onepg/internal/postgres"
)

// SealerOptions are what a Sealer needs.
type SealerOptions struct {
	// DB is any pool; one connection is used, and seldom.
	DB *bun.DB
	// Interval is how often it looks; zero means five seconds.
	Interval time.Duration
	Metrics  prometheus.Registerer
	Logger   *slog.Logger
}

// Sealer seals the log in the background. Any number of replicas may run one:
// the database lets one work at a time, and they need not know of each other.
//
// It is off the way of an append: it reads what is committed, takes no lock that
// an append takes, and an append does not wait for it. An event is sealed when
// a thousand are there to be sealed, or a minute after it was recorded.
type Sealer struct {
	db       *bun.DB
	interval time.Duration
	logger   *slog.Logger
	position prometheus.Gauge
	failures prometheus.Counter
}

const defaultSealInterval = 5 * time.Second

// NewSealer prepares a Sealer. Run it once.
func NewSealer(o SealerOptions) *Sealer {
	s := &Sealer{
		db: o.DB, interval: o.Interval, logger: o.Logger,
		position: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "onepg_sealed_position", Help: "Last position of the log that is sealed, as this process last saw it.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "onepg_seal_failures_total", Help: "Looks at what is to be sealed that failed.",
		}),
	}
	if s.interval <= 0 {
		s.interval = defaultSealInterval
	}
	o.Metrics.MustRegister(s.position, s.failures)
	return s
}

// Run seals until ctx ends, and then returns nil. A failure is logged and the
// next look is the next try: a log that is not sealed is served all the same.
func (s *Sealer) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		if err := s.catchUp(ctx); err != nil && ctx.Err() == nil {
			s.failures.Inc()
			s.logger.ErrorContext(ctx, "the log cannot be sealed", slog.Any("error", err))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// catchUp seals in short statements until nothing is due.
func (s *Sealer) catchUp(ctx context.Context) error {
	for ctx.Err() == nil {
		sealed, made, err := sealDue(ctx, s.db)
		if err != nil {
			return err
		}
		s.position.Set(float64(sealed))
		if made == 0 {
			return nil
		}
	}
	return nil
}

// sealDue seals what is due now, as much as one short statement may, and
// gives the last sealed position and how many seals it made.
func sealDue(ctx context.Context, db bun.IDB) (sealed int64, made int, err error) {
	err = db.NewRaw("SELECT sealed_position, seals FROM seal_events()").Scan(ctx, &sealed, &made)
	if err != nil {
		return 0, 0, postgres.Fault(fmt.Errorf("seal the log: %w", err))
	}
	return sealed, made, nil
}

// SealAll seals everything there is, also what does not fill a range yet.
func SealAll(ctx context.Context, db bun.IDB) error {
	for made := 1; made > 0; {
		if err := db.NewRaw("SELECT seals FROM seal_events(patience => '0')").Scan(ctx, &made); err != nil {
			return postgres.Fault(fmt.Errorf("seal the log: %w", err))
		}
	}
	return nil
}
