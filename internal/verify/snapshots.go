package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
)

// checkSnapshots looks for snapshots of aggregates that the log does not have.
func checkSnapshots(r *run, ctx context.Context, tx bun.Tx, _ func(int64, string, ...any)) error {
	var ids []uuid.UUID
	err := tx.NewRaw(`SELECT s.aggregate_id FROM snapshots s
	  WHERE NOT EXISTS (SELECT FROM events e WHERE e.aggregate_id = s.aggregate_id AND e.version = 1)
	  ORDER BY 1 LIMIT ?`, maxFindings).Scan(ctx, &ids)
	if err != nil {
		return fmt.Errorf("look for snapshots without events: %w", err)
	}
	for _, id := range ids {
		r.found(Finding{Check: "snapshots", AggregateID: &id, Detail: "there is a snapshot of an aggregate that the log does not have"})
	}
	return nil
}

// snapshots compares the snapshots of aggregates that begin in the range with
// the fold of their events. One of another schema than the program's is not used
// by it and not looked at.
type snapshots struct {
	r   *run
	ids map[string][]uuid.UUID // by kind of aggregate
}

func (r *run) newSnapshots() *snapshots {
	return &snapshots{r: r, ids: make(map[string][]uuid.UUID)}
}

func (s *snapshots) event(e eventsourcing.Recorded) {
	if e.Version == 1 {
		s.ids[e.Aggregate] = append(s.ids[e.Aggregate], e.AggregateID)
	}
}

func (s *snapshots) pause(ctx context.Context, _ bool) error {
	for _, m := range s.r.Models {
		if len(s.ids[m.Aggregate]) == 0 {
			continue
		}
		var stored []struct {
			AggregateID uuid.UUID       `bun:"aggregate_id"`
			Version     int             `bun:"version"`
			State       json.RawMessage `bun:"state"`
		}
		err := s.r.DB.NewRaw(`SELECT aggregate_id, version, state FROM snapshots WHERE schema = ? AND aggregate_id = ANY (?::uuid[])`,
			m.Schema, pgdialect.Array(s.ids[m.Aggregate])).Scan(ctx, &stored)
		if err != nil {
			return fmt.Errorf("read the snapshots of %ss: %w", m.Aggregate, err)
		}
		for _, snapshot := range stored {
			if err := s.compare(ctx, m, snapshot.AggregateID, snapshot.Version, snapshot.State); err != nil {
				return err
			}
		}
	}
	clear(s.ids)
	return nil
}

// compare holds one snapshot against the fold. Why no snapshot of the database is
// needed: events up to a version that was recorded never change.
func (s *snapshots) compare(ctx context.Context, m eventsourcing.Model, id uuid.UUID, version int, stored json.RawMessage) error {
	s.r.report.Snapshots++
	found := func(position int64, format string, args ...any) {
		s.r.found(Finding{Check: "snapshots", Position: position, AggregateID: &id, Detail: fmt.Sprintf(format, args...)})
	}
	folding, last := m.Begin(), eventsourcing.Recorded{}
	var broken error
	err := eventstore.EachFrom(ctx, s.r.DB, eventstore.Query{AggregateID: id, UpToVersion: version}, func(e eventsourcing.Recorded) error {
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
		return fmt.Errorf("encode the state of %s %s: %w", m.Aggregate, id, err)
	}
	switch {
	case broken != nil:
		found(last.Position, "the events up to the snapshot's version %d do not fold: %v", version, broken)
	case last.Version != version:
		found(last.Position, "the snapshot is of version %d, and the log has %d", version, last.Version)
	case !bytes.Equal(compact(state), compact(stored)):
		found(last.Position, "the snapshot of version %d is not the fold of its events", version)
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
