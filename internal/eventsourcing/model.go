package eventsourcing

import "encoding/json"

// Model is a write model whose states are kept as snapshots. With it they can be
// computed again from the events, by the same fold and without knowing its
// types.
type Model struct {
	Aggregate string
	// Schema is that of the snapshots the model can compute; see
	// [Decider.Schema].
	Schema string
	// Begin starts with an aggregate that does not exist yet.
	Begin func() Refolding
}

// Refolding is one aggregate on its way through its events.
type Refolding struct {
	// Add takes the next event, in the order of versions.
	Add func(Recorded) error
	// State is the state after the events added so far, as a snapshot has it.
	State func() (json.RawMessage, error)
}

// Model gives the decider's write model.
func (d *Decider[S, E]) Model() Model {
	return Model{Aggregate: d.aggregate, Schema: d.schema, Begin: func() Refolding {
		var state *S
		return Refolding{
			Add: func(e Recorded) (err error) {
				state, err = d.Fold(state, []Recorded{e})
				return err
			},
			State: func() (json.RawMessage, error) { return json.Marshal(state) },
		}
	}}
}
