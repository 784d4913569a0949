package eventsourcing

// Change is one step of an aggregate's history: an event, and the state before
// and after it. A nil state is none, as for [Evolve].
type Change[S any] struct {
	Event         Recorded
	Before, After *S
	// Err is why the event, or one before it, could not be applied; the state
	// is then what it was before that event.
	Err error
}
