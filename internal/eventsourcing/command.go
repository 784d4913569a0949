package eventsourcing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"onepg/internal/fault"
)

// Log is the log as commands use it. Package estest holds the tests that every
// Log passes, and one that lives in memory.
type Log interface {
	// Load gives all that is needed to know the aggregate's state, as of one
	// moment: the newest snapshot of that schema, if there is one, and the
	// events after it. An aggregate that does not exist has neither.
	Load(ctx context.Context, id uuid.UUID, schema string) (Past, error)
	// History gives the aggregate's events of versions after+1 to upTo.
	History(ctx context.Context, id uuid.UUID, after, upTo int) ([]Recorded, error)
	// Append records the events, all or none. It fails with the fault.Error
	// version-conflict when the aggregate is not at an ExpectedVersion. Every
	// refusal of an event says which Event it is.
	Append(ctx context.Context, events []Event) ([]Receipt, error)
	// SaveSnapshot keeps a state for later Loads. It returns at once and may
	// forget it: a snapshot is a cache and nothing depends on it.
	SaveSnapshot(s Snapshot)
}

// Past is what the log has of one aggregate.
type Past struct {
	Snapshot *Snapshot // nil: the events begin with version 1
	Events   []Recorded
}

// Snapshot is the state of an aggregate after a version, so that a load need
// not begin at the first event.
type Snapshot struct {
	AggregateID uuid.UUID
	Version     int
	// Schema is what the state was made under; see [Decider.Schema].
	Schema string
	State  json.RawMessage
}

// Commands is what a domain is given to handle commands with.
type Commands struct {
	Log Log
	// Actor names the credential behind a request.
	Actor func(context.Context) string
	// Metadata is what a request gives to the events it records, a JSON object
	// or nil for nothing: its trace, its place in a story. Nil is none.
	Metadata func(context.Context) json.RawMessage
}

// Outcome is what became of a command.
type Outcome[S any] struct {
	// State is the write model after the command, so that nobody has to read a
	// view to know what their own command did. Nil if the aggregate does not
	// exist.
	State *S
	// Version is the aggregate's version that goes with State.
	Version int
	// Events are what the command recorded, now or, when it was repeated, then.
	Events []Recorded
}

// maxRetries bounds how often a command that lost a race is decided again. Each
// of them means that somebody else's command was recorded in between.
const maxRetries = 3

// snapshotEvery is how many events a load may have to fold before a snapshot is
// worth its write.
const snapshotEvery = 100

// Handler carries out the commands of one kind of aggregate.
type Handler[S, E any] struct {
	commands Commands
	decider  *Decider[S, E]
}

// NewHandler makes a handler. It is safe for concurrent use.
func NewHandler[S, E any](commands Commands, decider *Decider[S, E]) *Handler[S, E] {
	return &Handler[S, E]{commands: commands, decider: decider}
}

// Handle loads the aggregate, lets the command decide and records what it
// decided, in one round trip to the database each. When another command was
// recorded in between it begins again, at most three times.
//
// Its error is the command's refusal or that of the log. After "unavailable"
// nobody knows whether the events are recorded; a command that remembers its
// [Request] may then be repeated.
func (h *Handler[S, E]) Handle(ctx context.Context, id uuid.UUID, c Command[S, E]) (Outcome[S], error) {
	for retries := 0; ; retries++ {
		outcome, err := h.try(ctx, id, c)
		if retries == maxRetries || !fault.Is(err, "version-conflict") {
			return outcome, err
		}
	}
}

// known is what the handler knows of an aggregate before it decides.
type known[S any] struct {
	state   *S
	version int
	tail    []Recorded // the last events, back to the snapshot
	since   int        // the snapshot's version; 0 without one
	foreign string     // the kind of an aggregate that is not ours
}

func (h *Handler[S, E]) try(ctx context.Context, id uuid.UUID, c Command[S, E]) (Outcome[S], error) {
	past, err := h.load(ctx, id, h.decider.Schema())
	if err != nil {
		return Outcome[S]{}, err
	}
	decided, err := c.Decide(past.state)
	var repeated *RepeatedError
	switch {
	case errors.As(err, &repeated):
		return h.again(ctx, id, past, repeated)
	case err != nil:
		return Outcome[S]{}, err
	case past.foreign != "":
		return Outcome[S]{}, fault.New(fault.Conflict, "aggregate-exists",
			fmt.Sprintf("The id %s belongs to a %s. Use a new one.", id, past.foreign))
	case len(decided) == 0:
		return Outcome[S]{State: past.state, Version: past.version}, nil
	}
	return h.record(ctx, id, past, decided)
}

// load gives the state of the aggregate. A snapshot that cannot be read counts
// as none. When there was much to fold, the next load shall begin here.
func (h *Handler[S, E]) load(ctx context.Context, id uuid.UUID, schema string) (known[S], error) {
	past, err := h.commands.Log.Load(ctx, id, schema)
	if err != nil {
		return known[S]{}, err
	}
	k := known[S]{tail: past.Events}
	if s := past.Snapshot; s != nil {
		k.state, k.version, k.since = new(S), s.Version, s.Version
		if err := json.Unmarshal(s.State, k.state); err != nil {
			return h.load(ctx, id, "")
		}
	}
	if n := len(past.Events); n > 0 {
		k.version = past.Events[n-1].Version
		if kind := past.Events[0].Aggregate; kind != h.decider.aggregate {
			k.foreign = kind
			return k, nil
		}
	}
	if k.state, err = h.decider.Fold(k.state, past.Events); err != nil {
		return k, err
	}
	if k.state != nil && k.version-k.since >= snapshotEvery {
		return k, h.snapshot(id, k)
	}
	return k, nil
}

func (h *Handler[S, E]) snapshot(id uuid.UUID, k known[S]) error {
	state, err := json.Marshal(k.state)
	if err != nil {
		return fmt.Errorf("encode the state of %s %s: %w", h.decider.aggregate, id, err)
	}
	h.commands.Log.SaveSnapshot(Snapshot{AggregateID: id, Version: k.version, Schema: h.decider.Schema(), State: state})
	return nil
}

// record appends what was decided. It folds the events before they are
// recorded: one that the write model cannot take would lock the aggregate up
// for ever.
func (h *Handler[S, E]) record(ctx context.Context, id uuid.UUID, past known[S], decided []E) (Outcome[S], error) {
	events, err := h.decider.Encode(id, past.version, decided)
	if err != nil {
		return Outcome[S]{}, err
	}
	actor := h.commands.Actor(ctx)
	var metadata json.RawMessage
	if h.commands.Metadata != nil {
		metadata = h.commands.Metadata(ctx)
	}
	recorded := make([]Recorded, len(events))
	for i := range events {
		events[i].Actor, events[i].Metadata = actor, metadata
		recorded[i] = events[i].Recorded(Receipt{Version: past.version + 1 + i})
	}
	if _, err := h.decider.Fold(past.state, recorded); err != nil {
		return Outcome[S]{}, fmt.Errorf("the command's own events do not fold: %w", err)
	}
	receipts, err := h.commands.Log.Append(ctx, events)
	if err != nil {
		return Outcome[S]{}, err
	}
	for i := range events {
		recorded[i] = events[i].Recorded(receipts[i])
	}
	state, err := h.decider.Fold(past.state, recorded)
	return Outcome[S]{State: state, Version: past.version + len(events), Events: recorded}, err
}

// again answers a repeated request as it was answered the first time: with the
// state of then, folded from the events up to then.
func (h *Handler[S, E]) again(ctx context.Context, id uuid.UUID, past known[S], r *RepeatedError) (Outcome[S], error) {
	history := past.tail
	if past.since > 0 {
		var err error
		if history, err = h.commands.Log.History(ctx, id, 0, r.Last); err != nil {
			return Outcome[S]{}, err
		}
	}
	if r.First < 1 || r.First > r.Last || r.Last > len(history) {
		return Outcome[S]{}, fmt.Errorf("%s %s: %w, but the log holds %d events", h.decider.aggregate, id, r, len(history))
	}
	history = history[:r.Last]
	state, err := h.decider.Fold(nil, history)
	if err != nil {
		return Outcome[S]{}, err
	}
	events, err := h.decider.upcast(history[r.First-1:])
	return Outcome[S]{State: state, Version: r.Last, Events: events}, err
}

// Recorded is the event as the log keeps it under the receipt.
func (e Event) Recorded(r Receipt) Recorded {
	aggregate, _, _ := strings.Cut(e.Name, ".")
	recorded := Recorded{
		ID: e.ID, AggregateID: e.AggregateID, Aggregate: aggregate, Name: e.Name, SchemaVersion: e.SchemaVersion,
		Version: r.Version, Position: r.Position, RecordedAt: r.RecordedAt,
		Payload: e.Payload, Metadata: e.Metadata, Actor: e.Actor,
	}
	if recorded.Metadata == nil {
		recorded.Metadata = json.RawMessage("{}")
	}
	return recorded
}
