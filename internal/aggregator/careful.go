package aggregator

import (
	"context"

	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
)

// isRefusedRow reports whether the database did not take what a view wanted to
// write: the data is wrong (SQLSTATE class 22) or breaks a constraint (class
// 23). Trying again does not help, so this is about an event, not a passing
// fault.
func isRefusedRow(err error) bool {
	state := postgres.SQLState(err)
	return len(state) == 5 && (state[:2] == "22" || state[:2] == "23")
}

// projectCarefully finds the events whose rows the database refuses, by halving
// the work until they are alone. A batch is careful when it has failed without
// it, so nobody pays for the savepoints before there is something to find.
//
// Only rows that are written are refused, so a row that would be refused half way
// through a batch is not noticed there, and parks its aggregate where a batch ends
// with it. The next attempt applies what waits behind together with it.
func (b batch) projectCarefully(ctx context.Context, p projection) error {
	err := b.attempt(ctx, p)
	switch {
	case err == nil || !isRefusedRow(err):
		return err
	case len(p.work) == 1:
		return b.projectOneByOne(ctx, p)
	}
	all := p.work
	p.work = all[:len(all)/2]
	if err := b.projectCarefully(ctx, p); err != nil {
		return err
	}
	p.work = all[len(all)/2:]
	return b.projectCarefully(ctx, p)
}

// projectOneByOne applies the events of a single aggregate up to the one whose
// row is refused.
func (b batch) projectOneByOne(ctx context.Context, p projection) error {
	h := p.work[0]
	h.reset()
	for _, e := range h.events {
		one := &history{aggregateID: h.aggregateID, events: []eventsourcing.Recorded{e}}
		p.work = []*history{one}
		err := b.attempt(ctx, p)
		if isRefusedRow(err) {
			one.failed, err = &EventError{Event: e, Err: err}, nil
		}
		if err != nil || one.failed != nil {
			h.failed = one.failed
			return err
		}
		h.applied++
		h.row = one.row
	}
	return nil
}

// attempt projects in a savepoint, which a refusal takes back.
func (b batch) attempt(ctx context.Context, p projection) error {
	for _, h := range p.work {
		h.reset()
	}
	return b.tx.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { //nolint:wrapcheck // the savepoint adds nothing
		p.tx = tx
		return b.view.project(ctx, p)
	})
}
