package payments

import (
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// Approve is a person's yes to a payment that was flagged for review.
type Approve struct {
	PaymentID uuid.UUID
	Note      string
	Rules     *Rules `json:"-"`
	Request   eventsourcing.Request
}

// Decide lets the payment through. The person has judged the risk, not the
// method's limit, so a payment over it fails all the same: none is ever
// processed.
func (c Approve) Decide(payment *Payment) ([]Event, error) {
	if err := awaitsReview(payment, c.PaymentID, c.Request); err != nil {
		return nil, err
	}
	approved := Approved{PaymentID: c.PaymentID, Note: c.Note, Request: c.Request}
	if reason := c.Rules.overLimit(payment.Method, payment.Amount); reason != "" {
		return []Event{approved, Failed{PaymentID: c.PaymentID, Reason: reason, Request: c.Request}}, nil
	}
	return []Event{approved, Processed{
		PaymentID: c.PaymentID, Amount: payment.Amount, Method: payment.Method, Request: c.Request,
	}}, nil
}

// awaitsReview is nil for a payment that a person may decide on now.
func awaitsReview(payment *Payment, id uuid.UUID, request eventsourcing.Request) error {
	if payment == nil {
		return fault.New(fault.NotFound, "not-found", "There is no payment "+id.String()+".")
	}
	if err := payment.Requests.Check(request); err != nil {
		return err
	}
	if payment.Status != StatusPendingReview {
		return payment.refuse()
	}
	return nil
}
