package eventsourcing

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/google/uuid"
)

// Command is something that somebody wants of one aggregate. S is the
// aggregate's write model: what its rules need to know, and nothing else.
type Command[S, E any] interface {
	// Decide gives what happens because of the command, in order, or refuses
	// with a fault.Error. No events and no error means that nothing has to
	// happen; a [RepeatedError] means that it has happened already.
	//
	// It is pure: whatever is not in the state (ids, times, risk, limits) is a
	// field of the command. A nil state stands for an aggregate that does not
	// exist.
	Decide(state *S) ([]E, error)
}

// Decider is the write side of one kind of aggregate: it makes state of
// recorded events, and events of what a command decided. It is read-only after
// [NewDecider] and safe for concurrent use.
type Decider[S, E any] struct {
	aggregate string
	registry  *Registry
	byPayload map[reflect.Type]EventType
	evolve    Evolve[S, E]
	schema    string
}

// NewDecider makes the decider of the one aggregate that all of the types are
// about. evolve is the only way its state is ever computed; raise revision when
// evolve computes another state from the same events, so that no snapshot of
// the old one is used. Changes of S or of the events are noticed without it.
func NewDecider[S, E any](types []EventType, evolve Evolve[S, E], revision int) (*Decider[S, E], error) {
	registry, err := NewRegistry(types...)
	if err != nil {
		return nil, err
	}
	if len(types) == 0 {
		return nil, errors.New("a decider needs the events of its aggregate")
	}
	d := &Decider[S, E]{
		aggregate: types[0].Aggregate(), registry: registry, evolve: evolve,
		byPayload: make(map[reflect.Type]EventType, len(types)),
		schema:    stateSchema(reflect.TypeFor[S](), types, revision),
	}
	for _, t := range types {
		if t.Aggregate() != d.aggregate {
			return nil, fmt.Errorf("event %s is not about the aggregate %s", t.Name, d.aggregate)
		}
		if !t.Payload.AssignableTo(reflect.TypeFor[E]()) {
			return nil, fmt.Errorf("payload %s of %s is no %s", t.Payload, t.Name, reflect.TypeFor[E]())
		}
		if other, twice := d.byPayload[t.Payload]; twice {
			return nil, fmt.Errorf("events %s and %s share the payload %s", other.Name, t.Name, t.Payload)
		}
		d.byPayload[t.Payload] = t
	}
	return d, nil
}

// Schema stands for the form and meaning of the state. A snapshot taken under
// another one is not used.
func (d *Decider[S, E]) Schema() string { return d.schema }

// Fold gives the state after the events, starting from an earlier state or nil.
// Old payloads are lifted to their newest schema first.
func (d *Decider[S, E]) Fold(state *S, events []Recorded) (*S, error) {
	for _, e := range events {
		e, payload, err := d.registry.Read(e)
		if err != nil {
			return nil, err
		}
		fact, ok := payload.(E)
		if !ok {
			return nil, fmt.Errorf("payload %T of %s at position %d is no %s", payload, e.Name, e.Position, reflect.TypeFor[E]())
		}
		if state, err = d.evolve(state, fact, e); err != nil {
			return nil, fmt.Errorf("fold %s, version %d of %s %s: %w", e.Name, e.Version, d.aggregate, e.AggregateID, err)
		}
	}
	return state, nil
}

// upcast gives the events in their newest schema versions.
func (d *Decider[S, E]) upcast(events []Recorded) ([]Recorded, error) {
	newest := make([]Recorded, len(events))
	for i, e := range events {
		var err error
		if newest[i], err = d.registry.Upcast(e); err != nil {
			return nil, err
		}
	}
	return newest, nil
}

// Encode makes events to append of what was decided about an aggregate at the
// version. Their ids are UUIDv7, which the log's index takes best.
//
// Each names its schema version, because it is folded before it is recorded too.
func (d *Decider[S, E]) Encode(id uuid.UUID, version int, decided []E) ([]Event, error) {
	events := make([]Event, len(decided))
	for i, fact := range decided {
		t, ok := d.byPayload[reflect.TypeOf(fact)]
		if !ok {
			return nil, fmt.Errorf("%T is not an event of the aggregate %s", fact, d.aggregate)
		}
		payload, err := json.Marshal(fact)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", t.Name, err)
		}
		eventID, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make an event id: %w", err)
		}
		expected := version + i
		events[i] = Event{
			ID: eventID, AggregateID: id, Name: t.Name, SchemaVersion: t.SchemaVersion(),
			Payload: payload, ExpectedVersion: &expected,
		}
	}
	return events, nil
}
