package payments

import (
	"fmt"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// Status is where a payment stands.
type Status string

// The statuses. Completed, failed and rejected are final.
const (
	StatusInitiated     Status = "initiated"
	StatusCompleted     Status = "completed"
	StatusFailed        Status = "failed"
	StatusPendingReview Status = "pending_review"
	StatusRejected      Status = "rejected"
)

// Payment is the write model: what the rules need to know of a payment.
type Payment struct {
	ID         uuid.UUID              `json:"id"`
	CustomerID uuid.UUID              `json:"customer_id"`
	Amount     Money                  `json:"amount"`
	Method     Method                 `json:"method"`
	Status     Status                 `json:"status"`
	Requests   eventsourcing.Requests `json:"requests"`
}

// evolve is the only way the write model is ever computed. A nil payment is
// none.
func evolve(payment *Payment, event Event, from eventsourcing.Recorded) (*Payment, error) {
	next, err := begin(payment, event, from)
	if err != nil {
		return nil, err
	}
	var request eventsourcing.Request
	switch e := event.(type) {
	case Initiated:
		request = e.Request
		next.CustomerID, next.Amount, next.Method, next.Status = e.CustomerID, e.Amount, e.Method, StatusInitiated
	case Processed:
		request = e.Request
		next.Amount, next.Status = e.Amount, StatusCompleted
	case Failed:
		request = e.Request
		next.Status = StatusFailed
	case FlaggedForReview:
		request = e.Request
		next.Status = StatusPendingReview
	case Approved:
		request = e.Request
	case Rejected:
		request = e.Request
		next.Status = StatusRejected
	}
	next.Requests = next.Requests.With(request, from.Version)
	return next, nil
}

// begin is a copy to change, once it is sure that the event can follow.
func begin(payment *Payment, event Event, from eventsourcing.Recorded) (*Payment, error) {
	if _, first := event.(Initiated); first != (payment == nil) {
		return nil, fmt.Errorf("%s cannot follow: the payment exists is %t", from.Name, payment != nil)
	}
	next := Payment{ID: from.AggregateID}
	if payment != nil {
		next = *payment
	}
	return &next, nil
}

// refuse is why a payment that stands as it does cannot be processed, approved
// or rejected under a new key.
func (p *Payment) refuse() error {
	conflict := func(code, message string) error {
		return fault.New(fault.Conflict, code, "Payment "+p.ID.String()+" "+message)
	}
	switch p.Status {
	case StatusCompleted:
		return conflict("payment-already-completed", "is completed. Use a new id for a new payment.")
	case StatusFailed:
		return conflict("payment-already-failed", "has failed. Use a new id for a new payment.")
	case StatusRejected:
		return conflict("payment-already-rejected", "was rejected. Use a new id for a new payment.")
	case StatusPendingReview:
		return conflict("payment-pending-review", "waits for review. Approve or reject it.")
	case StatusInitiated:
		return conflict("payment-not-pending-review", "does not wait for review. Process it.")
	}
	return fmt.Errorf("payment %s has the unknown status %q", p.ID, p.Status)
}
