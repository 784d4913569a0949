package payments

import (
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// customers is the name of the view of customers and of its table.
const customers = "payment_customers"

// Customer is a row of the view payment_customers: what payments want to know
// of a user. It is joined when payments are read, so a name that changes, or
// arrives after the payment, is right from then on.
type Customer struct {
	ID      uuid.UUID `json:"id"      bun:"id,pk,type:uuid"`
	Name    string    `json:"name"    bun:"name,type:text"`
	Version int       `json:"version" bun:"version,type:integer"`
}

// userFact is what this domain reads of any event about a user: those that set
// the name have it in their payload.
type userFact struct {
	Name *string `json:"name"`
}

// evolveCustomer is the only way a row is ever computed. The name of a user who
// was deleted is forgotten here too.
func evolveCustomer(row *Customer, event userFact, from eventsourcing.Recorded) (*Customer, error) {
	if from.Name == "user.deleted" {
		return nil, nil //nolint:nilnil // no row and no error is what a deletion means
	}
	next := Customer{ID: from.AggregateID}
	if row != nil {
		next = *row
	}
	if event.Name != nil {
		next.Name = *event.Name
	}
	next.Version = from.Version
	return &next, nil
}
