package estest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// Memory is a log that forgets everything with the process. It refuses what the
// real one refuses, for the same reasons and with the same codes. It is safe for
// concurrent use.
type Memory struct {
	types map[string]eventsourcing.EventType

	mu        sync.Mutex
	events    []eventsourcing.Recorded
	snapshots map[uuid.UUID]eventsourcing.Snapshot
}

var _ eventsourcing.Log = (*Memory)(nil)

// NewMemory makes an empty log for events of these types.
func NewMemory(types ...eventsourcing.EventType) *Memory {
	m := &Memory{types: make(map[string]eventsourcing.EventType), snapshots: make(map[uuid.UUID]eventsourcing.Snapshot)}
	for _, t := range types {
		m.types[t.Name] = t
	}
	return m
}

// Load is for [eventsourcing.Log].
func (m *Memory) Load(_ context.Context, id uuid.UUID, schema string) (eventsourcing.Past, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var past eventsourcing.Past
	after := 0
	if s, ok := m.snapshots[id]; ok && s.Schema == schema {
		past.Snapshot, after = &s, s.Version
	}
	past.Events = m.of(id, after, len(m.events))
	return past, nil
}

// History is for [eventsourcing.Log].
func (m *Memory) History(_ context.Context, id uuid.UUID, after, upTo int) ([]eventsourcing.Recorded, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(id, after, upTo), nil
}

// Append is for [eventsourcing.Log].
func (m *Memory) Append(_ context.Context, events []eventsourcing.Event) ([]eventsourcing.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.events)
	receipts := make([]eventsourcing.Receipt, len(events))
	for i, e := range events {
		var err error
		if receipts[i], err = m.append(e); err != nil {
			m.events = m.events[:before]
			if f, ok := fault.Of(err); ok {
				f.Event = &i
			}
			return nil, err
		}
	}
	return receipts, nil
}

// SaveSnapshot is for [eventsourcing.Log]; it forgets nothing.
func (m *Memory) SaveSnapshot(s eventsourcing.Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.snapshots[s.AggregateID]; !ok || old.Schema != s.Schema || old.Version < s.Version {
		m.snapshots[s.AggregateID] = s
	}
}

func (m *Memory) of(id uuid.UUID, after, upTo int) []eventsourcing.Recorded {
	var events []eventsourcing.Recorded
	for _, e := range m.events {
		if e.AggregateID == id && e.Version > after && e.Version <= upTo {
			events = append(events, e)
		}
	}
	return events
}

func (m *Memory) append(e eventsourcing.Event) (eventsourcing.Receipt, error) {
	if at := slices.IndexFunc(m.events, func(r eventsourcing.Recorded) bool { return r.ID == e.ID }); at >= 0 {
		return repeat(m.events[at], e)
	}
	t, known := m.types[e.Name]
	if !known {
		return eventsourcing.Receipt{}, fmt.Errorf("event %s is not one of this log's", e.Name)
	}
	past := m.of(e.AggregateID, 0, len(m.events))
	if code := m.refusal(past, e, t); code != "" {
		version := len(past)
		return eventsourcing.Receipt{}, &fault.Error{Kind: fault.Conflict, Code: code, Message: code + " of " + e.Name, CurrentVersion: &version}
	}
	if e.SchemaVersion == 0 {
		e.SchemaVersion = t.SchemaVersion()
	}
	r := receipt(e, len(past)+1, int64(len(m.events)+1))
	m.events = append(m.events, e.Recorded(r))
	return r, nil
}

// repeat answers for an id that is recorded.
func repeat(recorded eventsourcing.Recorded, e eventsourcing.Event) (eventsourcing.Receipt, error) {
	if recorded.AggregateID != e.AggregateID || recorded.Name != e.Name || !equalJSON(recorded.Payload, e.Payload) {
		return eventsourcing.Receipt{}, fault.New(fault.Invalid, "event-id-reused", "The event's id is recorded with something else.")
	}
	return eventsourcing.Receipt{
		ID: e.ID, AggregateID: e.AggregateID, Version: recorded.Version, Position: recorded.Position,
		RecordedAt: recorded.RecordedAt, Duplicate: true,
	}, nil
}

// refusal is why the event cannot follow the aggregate's past, as the SQL
// function append_event decides it.
func (m *Memory) refusal(past []eventsourcing.Recorded, e eventsourcing.Event, t eventsourcing.EventType) string {
	if e.ExpectedVersion != nil && *e.ExpectedVersion != len(past) {
		return "version-conflict"
	}
	creates := t.Lifecycle == eventsourcing.Creates
	if len(past) == 0 {
		if creates {
			return ""
		}
		return "aggregate-missing"
	}
	last := m.types[past[len(past)-1].Name]
	switch {
	case last.Aggregate() != t.Aggregate() && !creates:
		return "aggregate-missing"
	case last.Lifecycle == eventsourcing.Ends && t.Lifecycle != eventsourcing.Restores:
		return "aggregate-deleted"
	case creates:
		return "aggregate-exists"
	}
	return ""
}
