package payments

import (
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// Reject is a person's no to a payment that was flagged for review.
type Reject struct {
	PaymentID uuid.UUID
	Note      string
	Request   eventsourcing.Request
}

// Decide ends the payment.
func (c Reject) Decide(payment *Payment) ([]Event, error) {
	if err := awaitsReview(payment, c.PaymentID, c.Request); err != nil {
		return nil, err
	}
	return []Event{Rejected(c)}, nil
}
