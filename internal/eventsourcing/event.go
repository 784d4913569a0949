// Package eventsourcing is the pure vocabulary of the program: what an event
// is, which events exist, how an old one becomes a new one, and how events
// fold into state. It knows no SQL, no HTTP, no clock and no goroutine, so
// whatever is decided with it can be tested with values alone.
//
// The words are the usual ones. An aggregate is the thing whose history is
// kept; an event is a fact about one aggregate in the past tense; its version
// counts the aggregate's events 1, 2, 3 …; its position counts all events of
// the log. State is never stored as truth: it is the fold of the events.
package eventsourcing

import (
	"encoding/json"

	"github.com/google/uuid"
)

// Event is a fact that somebody asks to be recorded. Both ids come from the
// one who asks, which is what makes asking twice safe.
type Event struct {
	ID          uuid.UUID
	AggregateID uuid.UUID
	Name        string
	// SchemaVersion is the version of the payload's schema; 0 means the
	// newest this program knows.
	SchemaVersion int
	// Payload is one JSON object, kept byte for byte.
	Payload json.RawMessage
	// Metadata is one JSON object about the circumstances (correlation_id,
	// causation_id, trace_id …); nil means an empty one.
	Metadata json.RawMessage
	// ExpectedVersion is the aggregate's version before this event (0: it
	// does not exist); nil means whatever it is.
	ExpectedVersion *int
	// Actor is who asks, taken from the credential and never from the client.
	Actor string
}

// Recorded is an event as the log keeps it, for ever.
type Recorded struct {
	ID            uuid.UUID       `json:"id"`
	AggregateID   uuid.UUID       `json:"aggregate_id"`
	Aggregate     string          `json:"aggregate"`
	Name          string          `json:"name"`
	SchemaVersion int             `json:"schema_version"`
	Version       int             `json:"version"`
	Position      int64           `json:"position"`
	Payload       json.RawMessage `json:"payload"`
	Metadata      json.RawMessage `json:"metadata"`
	Actor         string          `json:"actor"`
	RecordedAt    Time            `json:"recorded_at"`
}

// Columns are where to scan an event that is read from the log, in the order id,
// aggregate_id, aggregate, name, schema_version, version, position, payload,
// metadata, actor, recorded_at.
func Columns(e *Recorded) []any {
	return []any{
		&e.ID, &e.AggregateID, &e.Aggregate, &e.Name, &e.SchemaVersion, &e.Version, &e.Position,
		(*[]byte)(&e.Payload), (*[]byte)(&e.Metadata), &e.Actor, &e.RecordedAt,
	}
}

// Receipt says where an event stands in the log. Duplicate is true when it
// was there before it was asked for.
type Receipt struct {
	ID          uuid.UUID `json:"id"`
	AggregateID uuid.UUID `json:"aggregate_id"`
	Version     int       `json:"version"`
	Position    int64     `json:"position"`
	RecordedAt  Time      `json:"recorded_at"`
	Duplicate   bool      `json:"duplicate"`
}

// Receipt is the event's place in the log, without what it says.
func (e Recorded) Receipt() Receipt {
	return Receipt{ID: e.ID, AggregateID: e.AggregateID, Version: e.Version, Position: e.Position, RecordedAt: e.RecordedAt}
}

// Evolve is one step of a fold: the state after the event. It is pure: the
// state passed in is not changed, and the same arguments give the same answer
// for ever. A nil state stands for "there is none": before the first event and
// after the last one of a deleted aggregate.
//
// Its error is for facts that cannot have happened (an update of nothing). A
// view then parks the aggregate instead of guessing.
type Evolve[S, E any] func(state *S, event E, from Recorded) (*S, error)
