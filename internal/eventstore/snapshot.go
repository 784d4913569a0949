package eventstore

import (
	"context"
	"log/slog"
	"time"

	"onepg/internal/eventsourcing"
)

const (
	// snapshotQueue bounds the snapshots that wait to be written. Beyond it
	// they are forgotten: the aggregate's next load offers another one.
	snapshotQueue = 256
	// snapshotTimeout bounds one write, so that closing is not held up.
	snapshotTimeout = 2 * time.Second
)

// SaveSnapshot hands the snapshot to the background and returns at once. It is
// forgotten when too many wait, when the log closes, or when the database does
// not take it.
func (l *Log) SaveSnapshot(s eventsourcing.Snapshot) {
	select {
	case l.snapshots <- s:
	default:
		l.metrics.snapshots.WithLabelValues("forgotten").Inc()
	}
}

// writeSnapshots is the background's life: write one after the other, until the
// log is closed.
func (l *Log) writeSnapshots() {
	for {
		select {
		case s := <-l.snapshots:
			l.writeSnapshot(s)
		case <-l.closing:
			return
		}
	}
}

// Why the condition: replicas of two releases may take turns, and then each
// replaces the other's; within one schema a late writer must not turn back.
const snapshotSQL = `INSERT INTO snapshots AS s (aggregate_id, version, schema, state) VALUES (?, ?, ?, ?::json)
    ON CONFLICT (aggregate_id) DO UPDATE
   SET version = EXCLUDED.version, schema = EXCLUDED.schema, state = EXCLUDED.state, taken_at = EXCLUDED.taken_at
 WHERE s.schema <> EXCLUDED.schema OR s.version < EXCLUDED.version`

func (l *Log) writeSnapshot(s eventsourcing.Snapshot) {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotTimeout)
	defer cancel()
	_, err := l.reader.NewRaw(snapshotSQL, s.AggregateID, s.Version, s.Schema, string(s.State)).Exec(ctx)
	if err != nil {
		l.metrics.snapshots.WithLabelValues("failed").Inc()
		l.logger.WarnContext(ctx, "snapshot not written; loads of the aggregate stay slower",
			slog.String("aggregate_id", s.AggregateID.String()), slog.Int("version", s.Version), slog.Any("error", err))
		return
	}
	l.metrics.snapshots.WithLabelValues("written").Inc()
}
