package eventsourcing

import (
	"fmt"
	"slices"

	"onepg/internal/fault"
)

// Request identifies what a client asked for, so that asking twice can be told
// from asking for something else. A command's events carry it, which makes it
// as durable as what came of it: also when the process is killed between the
// commit and the answer.
type Request struct {
	// Key is the client's Idempotency-Key. It is unique for one aggregate.
	Key string `json:"idempotency_key"`
	// Hash stands for the request's content.
	Hash string `json:"request_hash"`
}

// Requests are those that an aggregate has answered, oldest first. They are a
// part of its write model:
//
//	Evolve:  next.Requests = state.Requests.With(event.Request, from.Version)
//	Decide:  if err := state.Requests.Check(c.Request); err != nil { return nil, err }
type Requests []Answered

// Answered is a request with the versions of the events that came of it.
type Answered struct {
	Request

	First int `json:"first"`
	Last  int `json:"last"`
}

// With gives the requests after an event of the version that one of them
// caused. A zero request, as in events from before there were keys, is none.
func (r Requests) With(request Request, version int) Requests {
	if request == (Request{}) {
		return r
	}
	next := slices.Clone(r)
	if n := len(next); n > 0 && next[n-1].Request == request {
		next[n-1].Last = version
		return next
	}
	return append(next, Answered{Request: request, First: version, Last: version})
}

// Check returns nil for a request that is new, a [RepeatedError] for one that
// was answered, and the fault.Error idempotency-key-reused for a new one under
// the key of another.
func (r Requests) Check(request Request) error {
	for _, a := range r {
		switch {
		case a.Key != request.Key:
		case a.Hash != request.Hash:
			return fault.New(fault.Invalid, "idempotency-key-reused",
				"This Idempotency-Key was sent before with another request. Use a new key for a new request.")
		default:
			return &RepeatedError{First: a.First, Last: a.Last}
		}
	}
	return nil
}

// RepeatedError is what Decide answers to a request that was answered before:
// the events of versions First to Last are its outcome. The [Handler] gives the
// first answer again.
type RepeatedError struct{ First, Last int }

// Error names the versions.
func (e *RepeatedError) Error() string {
	return fmt.Sprintf("the request is recorded as versions %d to %d", e.First, e.Last)
}
