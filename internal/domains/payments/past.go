package payments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
)

// past is what payments were, each with the name that its customer had then: the
// join of the two views, made of the folds that make them.
type past struct {
	payments  aggregator.Past[Summary]
	customers aggregator.Past[Customer]
}

func newPast(log aggregator.PastLog) past {
	return past{
		payments:  aggregator.PastOf("payment", evolveSummary, log),
		customers: aggregator.ForeignPast("user", evolveCustomer, log),
	}
}

// PositionAt is part of [httpapi.RowPast].
func (p past) PositionAt(ctx context.Context, moment time.Time) (position int64, reached bool, err error) {
	return p.payments.PositionAt(ctx, moment)
}

// AtVersion is part of [httpapi.RowPast]. The customer's name is that of the
// moment when the event was recorded.
func (p past) AtVersion(ctx context.Context, id uuid.UUID, version int) (*Listed, int64, error) {
	row, position, err := p.payments.AtVersion(ctx, id, version)
	if err != nil {
		return nil, 0, err
	}
	named, err := p.named(ctx, position, row)
	if err != nil {
		return nil, 0, err
	}
	return named[0], position, nil
}

// AtPosition is part of [httpapi.RowPast].
func (p past) AtPosition(ctx context.Context, id uuid.UUID, position int64) (*Listed, int, error) {
	row, version, err := p.payments.AtPosition(ctx, id, position)
	if err != nil {
		return nil, 0, err
	}
	named, err := p.named(ctx, position, row)
	if err != nil {
		return nil, 0, err
	}
	return named[0], version, nil
}

// List is part of [httpapi.ListPast].
func (p past) List(ctx context.Context, position int64, after uuid.UUID, limit int) ([]*Listed, uuid.UUID, error) {
	rows, next, err := p.payments.List(ctx, position, after, limit)
	if err != nil {
		return nil, uuid.Nil, err
	}
	named, err := p.named(ctx, position, rows...)
	return named, next, err
}

// History is part of [httpapi.ChangeLog]. Each row is as [past.AtVersion] gives
// it, so a customer's new name appears with the payment's next event: the
// patches, one after the other, make the row.
func (p past) History(ctx context.Context, id uuid.UUID, before, limit int) ([]eventsourcing.Change[Listed], error) {
	// One more than asked for: its row is before the oldest one's.
	changes, err := p.payments.History(ctx, id, before, limit+1)
	if err != nil {
		return nil, err
	}
	customers, err := p.customersAt(ctx, changes)
	if err != nil {
		return nil, err
	}
	history := make([]eventsourcing.Change[Listed], len(changes))
	for i, c := range changes {
		history[i].Event, history[i].Err = c.Event, c.Err
		if c.After == nil {
			continue
		}
		history[i].After = listed(c.After, customers[i])
		if i > 0 {
			history[i-1].Before = history[i].After
		}
	}
	return history[:min(limit, len(history))], nil
}

// customersAt gives the customer as it was at each change of one payment, whose
// customer stays the same.
func (p past) customersAt(ctx context.Context, changes []eventsourcing.Change[Summary]) ([]*Customer, error) {
	if len(changes) == 0 || changes[0].After == nil { // there is no payment, so there are no rows to name
		return make([]*Customer, len(changes)), nil
	}
	positions := make([]int64, len(changes))
	for i, c := range changes {
		positions[i] = c.Event.Position
	}
	return p.customers.RowAt(ctx, changes[0].After.CustomerID, positions...)
}

// named joins payments with the names of their customers at the position.
func (p past) named(ctx context.Context, position int64, rows ...*Summary) ([]*Listed, error) {
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i] = row.CustomerID
	}
	customers, err := p.customers.Rows(ctx, position, ids)
	if err != nil {
		return nil, err
	}
	named := make([]*Listed, len(rows))
	for i, row := range rows {
		named[i] = listed(row, customers[row.CustomerID])
	}
	return named, nil
}

// listed joins a payment with its customer, nil where none is known.
func listed(row *Summary, c *Customer) *Listed {
	l := &Listed{Summary: *row}
	if c != nil {
		l.CustomerName = &c.Name
	}
	return l
}
