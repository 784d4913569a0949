package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
)

// checkSnapshots looks for snapshots of aggregates that the log does not have.
func checkSnapshots(ctx context.Context, q *inquiry) error {
	var ids []uuid.UUID
	err := q.tx.NewRaw(`SELECT s.aggregate_id FROM snapshots s
	  WHERE NOT EXISTS (SELECT FROM events e WHERE e.aggregate_id = s.aggregate_id AND e.version = 1)
	  ORDER BY 1 LIMIT ?`, maxFindings).Scan(ctx, &ids)
	if err != nil {
		return fmt.Errorf("look for snapshots without events: %w", err)
	}
	for _, id := range ids {
		q.add(Finding{Check: "snapshots", AggregateID: &id, Detail: "there is a snapshot of an aggregate that the log does not have"})
	}
	return nil
}

// snapshots compares the snapshots of aggregates that begin in the range with
// the fold of their events. One of another schema than the program's is not used
// by it and not looked at.
type snapshots struct{ r *run }

func (s snapshots) page(ctx context.Context, events []eventsourcing.Recorded) error {
	ids := begun(events)
	for _, m := range s.r.Models {
		if err := s.model(ctx, m, ids[m.Aggregate]); err != nil {
			return err
		}
	}
	return nil
}

func (snapshots) end(context.Context) error { return nil }

// model compares the snapshots of some aggregates of one kind.
func (s snapshots) model(ctx context.Context, m eventsourcing.Model, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	var stored []snapshot
	err := s.r.DB.NewRaw(`SELECT aggregate_id, version, state FROM snapshots WHERE schema = ? AND aggregate_id = ANY (?::uuid[])`,
		m.Schema, pgdialect.Array(ids)).Scan(ctx, &stored)
	if err != nil {
		return fmt.Errorf("read the snapshots of %ss: %w", m.Aggregate, err)
	}
	for _, kept := range stored {
		if err := s.compare(ctx, m, kept); err != nil {
			return err
		}
	}
	return nil
}

// snapshot is one of the table.
type snapshot struct {
	AggregateID uuid.UUID       `bun:"aggregate_id"`
	Version     int             `bun:"version"`
	State       json.RawMessage `bun:"state"`
}

// compare holds one snapshot against the fold. Why no snapshot of the database is
// needed: events up to a version that was recorded never change.
func (s snapshots) compare(ctx context.Context, m eventsourcing.Model, kept snapshot) error {
	s.r.report.Snapshots++
	found := func(position int64, format string, args ...any) {
		s.r.add(Finding{Check: "snapshots", Position: position, AggregateID: &kept.AggregateID, Detail: fmt.Sprintf(format, args...)})
	}
	folding, last := m.Begin(), eventsourcing.Recorded{}
	var broken error
	err := eventstore.EachFrom(ctx, s.r.DB, eventstore.Query{AggregateID: kept.AggregateID, UpToVersion: kept.Version}, func(e eventsourcing.Recorded) error {
		if last = e; broken == nil {
			broken = folding.Add(e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	state, err := folding.State()
	if err != nil {
		return fmt.Errorf("encode the state of %s %s: %w", m.Aggregate, kept.AggregateID, err)
	}
	switch {
	case broken != nil:
		found(last.Position, "the events up to the snapshot's version %d do not fold: %v", kept.Version, broken)
	case last.Version != kept.Version:
		found(last.Position, "the snapshot is of version %d, and the log has %d", kept.Version, last.Version)
	case !bytes.Equal(compact(state), compact(kept.State)):
		found(last.Position, "the snapshot of version %d is not the fold of its events", kept.Version)
	}
	return nil
}

// compact takes the spaces out of JSON, if it is any.
func compact(text json.RawMessage) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return text
	}
	return b.Bytes()
}
