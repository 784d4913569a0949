package payments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
)

// past is what payments were, each with the name that its customer had then.
// It implements httpapi.RowPast and httpapi.ListPast.
type past struct {
	payments  aggregator.Past[Summary]
	customers aggregator.Past[Customer]
}

func newPast(log aggregator.PastLog) past {
	return past{
		payments:  aggregator.PastOf("payment", evolveSummary, log),
		customers: aggregator.ForeignPastOf("user", evolveCustomer, log),
	}
}

// PositionAt gives the last position at the moment, and whether it has come.
func (p past) PositionAt(ctx context.Context, moment time.Time) (position int64, reached bool, err error) {
	return p.payments.PositionAt(ctx, moment)
}

// AtVersion gives the payment after its event of that version.
func (p past) AtVersion(ctx context.Context, id uuid.UUID, version int) (*Listed, error) {
	row, position, err := p.payments.AtVersionOf(ctx, id, version)
	if err != nil {
		return nil, err
	}
	return one(p.named(ctx, position, []*Summary{row}))
}

// AtPosition gives the payment, and its version, when the log ended there.
func (p past) AtPosition(ctx context.Context, id uuid.UUID, position int64) (*Listed, int, error) {
	row, version, err := p.payments.AtPosition(ctx, id, position)
	if err != nil {
		return nil, 0, err
	}
	payment, err := one(p.named(ctx, position, []*Summary{row}))
	return payment, version, err
}

// List gives payments in the order of their ids, and where to go on.
func (p past) List(ctx context.Context, position int64, after uuid.UUID, limit int) (payments []*Listed, next uuid.UUID, err error) {
	rows, next, err := p.payments.List(ctx, position, after, limit)
	if err != nil {
		return nil, uuid.Nil, err
	}
	payments, err = p.named(ctx, position, rows)
	return payments, next, err
}

// named puts the customers' names to the payments.
func (p past) named(ctx context.Context, position int64, rows []*Summary) ([]*Listed, error) {
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i] = row.CustomerID
	}
	customers, err := p.customers.Rows(ctx, position, ids)
	if err != nil {
		return nil, err
	}
	payments := make([]*Listed, len(rows))
	for i, row := range rows {
		payments[i] = &Listed{Summary: *row}
		if customer := customers[row.CustomerID]; customer != nil {
			payments[i].CustomerName = &customer.Name
		}
	}
	return payments, nil
}

// one takes the only payment out of its list.
func one(payments []*Listed, err error) (*Listed, error) {
	if err != nil {
		return nil, err
	}
	return payments[0], nil
}
