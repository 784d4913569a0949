package eventstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/postgres"
)

const (
	// importBatch bounds one statement in events, importBatchBytes in the sum of
	// its lines.
	importBatch      = 2000
	importBatchBytes = 4 << 20
	// longestLine is far more than the largest payload that can be configured.
	longestLine = 64 << 20
)

// Imported says what an import did.
type Imported struct {
	Read  int64 `json:"read"`          // events in the file
	New   int64 `json:"new"`           // of them, those that were not in the log
	Last  int64 `json:"last_position"` // of the file
	lines int64
}

// Import takes over what [Export] wrote, with ids, positions, versions, times,
// actors and the exact text of payloads. It is one transaction: all or nothing.
//
// The events must continue the log, from position 1 where it is empty. Those at
// positions that the log has must be the same, so that importing twice is
// importing once; they come first, so a conflict is found before anything is
// written. A file of some events only, as a filter makes it, is refused: its
// positions have gaps.
//
// The first new event takes the lock that orders appends. They wait from then
// on, so an import into a log in use should be small. Views read on by
// themselves. The role needs the right to call import_events.
//
// The failure is a [fault.Error]: Malformed with "import-unreadable", or
// Conflict with "import-refused"; both name the line or position in the way.
func Import(ctx context.Context, db *bun.DB, r io.Reader) (Imported, error) {
	var done Imported
	err := db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, bufio.MaxScanTokenSize), longestLine)
		for {
			batch, err := nextBatch(lines, &done)
			if err != nil {
				return err
			}
			if len(batch) == 0 {
				return nil
			}
			added, err := importBatchOf(ctx, tx, batch)
			if err != nil {
				return err
			}
			done.Read += int64(len(batch))
			done.New += int64(added)
			done.Last = batch[len(batch)-1].Position
		}
	})
	if err != nil {
		return Imported{}, postgres.Fault(err)
	}
	return done, nil
}

// nextBatch reads lines up to a limit. No event means the end.
func nextBatch(lines *bufio.Scanner, done *Imported) ([]eventsourcing.Recorded, error) {
	var batch []eventsourcing.Recorded
	for size := 0; len(batch) < importBatch && size < importBatchBytes && lines.Scan(); size += len(lines.Bytes()) {
		done.lines++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		e, err := readLine(lines.Bytes())
		if err != nil {
			return nil, unreadable(done.lines, err)
		}
		batch = append(batch, e)
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, unreadable(done.lines+1, err)
		}
		return nil, fmt.Errorf("read the events to import: %w", err)
	}
	return batch, nil
}

func unreadable(number int64, err error) error {
	return fault.Wrap(err, fault.Malformed, "import-unreadable",
		fmt.Sprintf("Line %d cannot be imported; nothing was written", number))
}

// importRefused is the SQLSTATE of import_events for events that do not fit.
const importRefused = "OP002"

func importBatchOf(ctx context.Context, tx bun.Tx, batch []eventsourcing.Recorded) (added int, err error) {
	var positions, times, ids, aggregates, versions, schemas, names, actors, payloads, metadata array
	for _, e := range batch {
		positions.addText(strconv.FormatInt(e.Position, 10))
		times.addText(e.RecordedAt.String())
		ids.addText(e.ID.String())
		aggregates.addText(e.AggregateID.String())
		versions.addInt(e.Version)
		schemas.addInt(e.SchemaVersion)
		names.addText(e.Name)
		actors.addText(e.Actor)
		payloads.addText(string(e.Payload))
		metadata.addText(string(e.Metadata))
	}
	err = tx.NewRaw(`SELECT import_events(?::bigint[], ?::timestamptz[], ?::uuid[], ?::uuid[], ?::integer[], ?::integer[],
	        ?::text[], ?::text[], ?::json[], ?::jsonb[])`,
		&positions, &times, &ids, &aggregates, &versions, &schemas, &names, &actors, &payloads, &metadata).Scan(ctx, &added)
	switch {
	case err == nil:
		return added, nil
	case postgres.SQLState(err) == importRefused, postgres.IsUniqueViolation(err, ""), isDataException(err):
		return 0, fault.Wrap(err, fault.Conflict, "import-refused",
			fmt.Sprintf("The events at positions %d to %d do not fit this log; nothing was written", batch[0].Position, batch[len(batch)-1].Position))
	default:
		return 0, fmt.Errorf("import positions %d to %d: %w", batch[0].Position, batch[len(batch)-1].Position, err)
	}
}
