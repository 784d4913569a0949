package eventstore

import (
	"context"
	"fmt"
	"io"

	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
)

// exportWindow is how many positions are read at once. Why positions and not
// events: it bounds the time of a statement also when a filter lets few through.
const exportWindow = 2000

// Export writes the query's events as NDJSON, one recorded event a line in the
// order of positions, up to the end the log has when it begins (or q.UpTo). The
// text is exactly what the log holds: [Import] into an empty log and Export
// again give the same bytes. Memory does not grow with the log.
func Export(ctx context.Context, db bun.IDB, w io.Writer, q Query, o ExportOptions) (written int64, err error) {
	head, err := headOf(ctx, db)
	if err != nil {
		return 0, err
	}
	end := head
	if q.UpTo > 0 {
		end = min(end, q.UpTo)
	}
	var buffer []byte
	for q.After < end {
		q.UpTo = min(q.After+exportWindow, end)
		events, err := ReadFrom(ctx, db, q)
		if err != nil {
			return written, err
		}
		buffer = buffer[:0]
		for _, e := range events {
			if e, err = o.change(e); err != nil {
				return written, err
			}
			if buffer, err = AppendLine(buffer, e); err != nil {
				return written, err
			}
		}
		if _, err := w.Write(buffer); err != nil {
			return written, fmt.Errorf("write the export: %w", err)
		}
		written += int64(len(events))
		q.After = q.UpTo
		o.progress(q.After, end)
	}
	return written, nil
}

// ExportOptions are wishes; the zero value has none.
type ExportOptions struct {
	// Change alters each event before it is written, for readers that want
	// payloads in their newest schema. What it changed cannot be imported.
	Change func(eventsourcing.Recorded) (eventsourcing.Recorded, error)
	// Progress is told the last position looked at and the last there is.
	Progress func(position, end int64)
}

func (o ExportOptions) change(e eventsourcing.Recorded) (eventsourcing.Recorded, error) {
	if o.Change == nil {
		return e, nil
	}
	return o.Change(e)
}

func (o ExportOptions) progress(position, end int64) {
	if o.Progress != nil {
		o.Progress(position, end)
	}
}
