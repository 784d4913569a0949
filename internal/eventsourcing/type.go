package eventsourcing

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Lifecycle is what an event does to the life of its aggregate. The log
// enforces it, so a view never sees an update of nothing.
type Lifecycle string

// The lifecycles, as they are stored.
const (
	Creates  Lifecycle = "creates"  // the first event of an aggregate
	Changes  Lifecycle = "changes"  // needs a living aggregate
	Ends     Lifecycle = "ends"     // needs a living aggregate and is its end
	Restores Lifecycle = "restores" // needs an aggregate, living or ended
)

// Upcast lifts a payload from one schema version to the next. It is pure.
type Upcast func(json.RawMessage) (json.RawMessage, error)

// EventType is the one definition of an event. Validation, the OpenAPI
// document, the typed client and the console's catalogue are all made from it.
type EventType struct {
	// Name is aggregate.past_tense. It is on disk for ever and never changes.
	Name      string
	Lifecycle Lifecycle
	// ServerOnly marks an event that only commands append; a client that
	// posts it is refused.
	ServerOnly bool
	// MinFields is how many of the payload's fields there must be at least.
	MinFields int
	// Payload is the Go struct of the newest schema version. Its tags are the
	// rules a payload has to keep.
	Payload reflect.Type
	// Upcasts lift older payloads: the first one from version 1 to 2, and so
	// on. There is one fewer than there are versions.
	Upcasts []Upcast

	decode func(json.RawMessage) (any, error)
}

// Type defines the event with this name whose newest payload is a P.
func Type[P any](name string, lifecycle Lifecycle, options ...func(*EventType)) EventType {
	t := EventType{
		Name:      name,
		Lifecycle: lifecycle,
		Payload:   reflect.TypeFor[P](),
		decode: func(payload json.RawMessage) (any, error) {
			var p P
			err := json.Unmarshal(payload, &p)
			return p, err //nolint:wrapcheck // Read says which event
		},
	}
	for _, option := range options {
		option(&t)
	}
	return t
}

// ServerOnly is the option for an event that clients cannot post.
func ServerOnly(t *EventType) { t.ServerOnly = true }

// AtLeast is the option for a payload whose fields are optional one by one,
// but of which n have to be there.
func AtLeast(n int) func(*EventType) {
	return func(t *EventType) { t.MinFields = n }
}

// Upcasts is the option for an event whose schema has changed: steps lead
// from version 1 to the newest. Clients post the newest; one of before that sends an
// old event again is refused, although it was recorded.
func Upcasts(steps ...Upcast) func(*EventType) {
	return func(t *EventType) { t.Upcasts = steps }
}

// SchemaVersion is the newest version of the payload's schema.
func (t EventType) SchemaVersion() int { return len(t.Upcasts) + 1 }

// Aggregate is the part of the name before the dot.
func (t EventType) Aggregate() string {
	aggregate, _, _ := strings.Cut(t.Name, ".")
	return aggregate
}

// ErrUnknown is wrapped by errors about an event whose name or schema version
// this program does not know: a newer program recorded it.
var ErrUnknown = errors.New("this program does not know the event")

// Registry holds every event type of the program. It does not change after it
// was made, so it may be used from everywhere at once.
type Registry struct {
	types  []EventType
	byName map[string]EventType
}

// NewRegistry makes a registry of the types, in their order. A name that is
// malformed or defined twice is an error.
func NewRegistry(types ...EventType) (*Registry, error) {
	r := &Registry{types: types, byName: make(map[string]EventType, len(types))}
	for _, t := range types {
		aggregate, fact, ok := strings.Cut(t.Name, ".")
		if !ok || !isIdentifier(aggregate) || !isIdentifier(fact) {
			return nil, fmt.Errorf("event name %q is not aggregate.past_tense in lower case", t.Name)
		}
		if _, taken := r.byName[t.Name]; taken {
			return nil, fmt.Errorf("event %s is defined twice", t.Name)
		}
		r.byName[t.Name] = t
	}
	return r, nil
}

// Types lists all types in the order of their definition.
func (r *Registry) Types() []EventType { return r.types }

// Lookup finds the type with this name.
func (r *Registry) Lookup(name string) (EventType, bool) {
	t, ok := r.byName[name]
	return t, ok
}

// Upcast gives the event with its payload in the newest schema version, and as it is
// where that fails. The error wraps ErrUnknown when the name or the version is not
// known here; a panic of an upcaster is an error of that event.
func (r *Registry) Upcast(e Recorded) (newest Recorded, err error) {
	defer rescue(e, &newest, &err)
	t, ok := r.byName[e.Name]
	if !ok || e.SchemaVersion < 1 || e.SchemaVersion > t.SchemaVersion() {
		return e, fmt.Errorf("%w %s version %d at position %d", ErrUnknown, e.Name, e.SchemaVersion, e.Position)
	}
	newest = e
	for _, step := range t.Upcasts[e.SchemaVersion-1:] {
		payload, err := step(newest.Payload)
		if err != nil {
			return e, fmt.Errorf("upcast %s from version %d at position %d: %w", e.Name, newest.SchemaVersion, e.Position, err)
		}
		newest.Payload = payload
		newest.SchemaVersion++
	}
	return newest, nil
}

// Read lifts the event as Upcast does, and decodes its payload: the Go struct of its
// newest schema version.
func (r *Registry) Read(e Recorded) (newest Recorded, payload any, err error) {
	defer rescue(e, &newest, &err)
	if newest, err = r.Upcast(e); err != nil {
		return newest, nil, err
	}
	if payload, err = r.byName[e.Name].decode(newest.Payload); err != nil {
		return newest, nil, fmt.Errorf("decode %s at position %d: %w", e.Name, e.Position, err)
	}
	return newest, payload, nil
}

// rescue makes a panic of the event's own code an error of the event.
func rescue(e Recorded, newest *Recorded, err *error) {
	if cause := recover(); cause != nil {
		*newest, *err = e, fmt.Errorf("read %s at position %d: panic: %v", e.Name, e.Position, cause)
	}
}

func isIdentifier(s string) bool {
	for i, c := range s {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}
