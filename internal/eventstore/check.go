package eventstore

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/postgres"
)

// eventTypeRow is what the database knows of an event.
type eventTypeRow struct {
	bun.BaseModel `bun:"table:event_types,alias:t"`

	Name          string `bun:"name,pk"`
	SchemaVersion int    `bun:"schema_version"`
}

// Check fails with "event-unknown" when the log holds an event of a name or
// schema version that the registry has no path for: an older program was
// started on the log of a newer one, or an upcaster was lost.
//
// It is cheap however long the log is. event_types says which names and
// versions may be stored; only one that is not known here is searched for, and
// a search that takes too long is given up with a warning, because views and
// commands stop at such an event anyway.
func (l *Log) Check(ctx context.Context, registry *eventsourcing.Registry) error {
	var stored []eventTypeRow
	if err := l.reader.NewSelect().Model(&stored).OrderExpr("name").Scan(ctx); err != nil {
		return postgres.Fault(fmt.Errorf("read event_types: %w", err))
	}
	for _, s := range stored {
		newest := 0
		if t, ok := registry.Lookup(s.Name); ok {
			newest = t.SchemaVersion()
		}
		if s.SchemaVersion <= newest {
			continue
		}
		if err := l.refuseBeyond(ctx, s.Name, newest); err != nil {
			return err
		}
	}
	return nil
}

// refuseBeyond fails when an event of this name and a version beyond the newest is
// recorded.
func (l *Log) refuseBeyond(ctx context.Context, name string, newest int) error {
	var found []struct {
		Position      int64 `bun:"position"`
		SchemaVersion int   `bun:"schema_version"`
	}
	err := l.reader.NewSelect().TableExpr("events AS e").Column("position", "schema_version").
		Where("e.name = ?", name).Where("e.schema_version > ?", newest).Limit(1).Scan(ctx, &found)
	switch {
	case postgres.SQLState(err) == postgres.StateQueryCanceled:
		l.logger.WarnContext(ctx, "could not find out in time whether an event is stored that this program does not know",
			slog.String("event", name), slog.Int("newest_known_version", newest))
		return nil
	case err != nil:
		return postgres.Fault(fmt.Errorf("search the log for %s beyond version %d: %w", name, newest, err))
	case len(found) == 0:
		return nil
	}
	known := fmt.Sprintf("knows it up to version %d", newest)
	if newest == 0 {
		known = "does not know it"
	}
	return fault.New(fault.Internal, "event-unknown",
		fmt.Sprintf("The log holds %s in schema version %d (position %d) and this program %s. Start the release that recorded it, or a newer one.",
			name, found[0].SchemaVersion, found[0].Position, known))
}
