package payments

import (
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// Process is the wish to pay. What the rules decide with is part of it.
type Process struct {
	PaymentID  uuid.UUID
	CustomerID uuid.UUID
	Amount     Money
	Method     Method
	Risk       Risk
	Rules      *Rules `json:"-"`
	Request    eventsourcing.Request
}

// Decide initiates the payment if it is new, and decides its fate.
func (c Process) Decide(payment *Payment) ([]Event, error) {
	if payment == nil {
		return []Event{c.initiated(), c.fate()}, nil
	}
	if err := payment.Requests.Check(c.Request); err != nil {
		return nil, err
	}
	if payment.Status != StatusInitiated {
		return nil, payment.refuse()
	}
	if payment.CustomerID != c.CustomerID || payment.Amount != c.Amount || payment.Method != c.Method {
		return nil, fault.New(fault.Conflict, "payment-differs",
			"Payment "+c.PaymentID.String()+" was initiated with another customer, amount or method.")
	}
	return []Event{c.fate()}, nil
}

func (c Process) initiated() Event {
	return Initiated{PaymentID: c.PaymentID, CustomerID: c.CustomerID, Amount: c.Amount, Method: c.Method, Request: c.Request}
}

// fate applies the rules in their order: a risk that is high is looked at by a
// person before the method's limit is asked for.
func (c Process) fate() Event {
	if c.Risk.High && c.Rules.needsReview(c.Amount) {
		return FlaggedForReview{
			PaymentID: c.PaymentID, Amount: c.Amount, RiskScore: c.Risk.Score, Reasons: c.Risk.Reasons, Request: c.Request,
		}
	}
	if reason := c.Rules.overLimit(c.Method, c.Amount); reason != "" {
		return Failed{PaymentID: c.PaymentID, Reason: reason, RiskScore: &c.Risk.Score, Request: c.Request}
	}
	return Processed{
		PaymentID: c.PaymentID, Amount: c.Amount, Method: c.Method, RiskScore: &c.Risk.Score, Request: c.Request,
	}
}
