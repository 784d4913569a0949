package payments

import (
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// Event is one of the facts about a payment. Each carries the request it came
// of, so that a repeated request is known from the payment's own history.
//
//sumtype:decl
type Event interface{ aboutPayment() }

// Initiated is the first fact: somebody wants to pay.
type Initiated struct {
	PaymentID  uuid.UUID             `json:"payment_id"`
	CustomerID uuid.UUID             `json:"customer_id" doc:"The user who pays"`
	Amount     Money                 `json:"amount"`
	Method     Method                `json:"method" enum:"credit_card,debit_card,bank_transfer,wallet"`
	Request    eventsourcing.Request `json:"request,omitzero"`
}

// Processed says that the money has moved.
type Processed struct {
	PaymentID uuid.UUID             `json:"payment_id"`
	Amount    Money                 `json:"amount"`
	Method    Method                `json:"method,omitempty" doc:"Unknown in version 1"`
	RiskScore *int                  `json:"risk_score,omitempty" doc:"0 to 100; unknown in version 1, and where a person decided"`
	Request   eventsourcing.Request `json:"request,omitzero"`
}

// Failed says that a rule forbids the payment.
type Failed struct {
	PaymentID uuid.UUID             `json:"payment_id"`
	Reason    string                `json:"reason" doc:"For people"`
	RiskScore *int                  `json:"risk_score,omitempty" doc:"0 to 100"`
	Request   eventsourcing.Request `json:"request,omitzero"`
}

// FlaggedForReview puts the payment before a person.
type FlaggedForReview struct {
	PaymentID uuid.UUID             `json:"payment_id"`
	Amount    Money                 `json:"amount"`
	RiskScore int                   `json:"risk_score" doc:"0 to 100"`
	Reasons   []string              `json:"reasons,omitempty" doc:"What the score is made of, for people"`
	Request   eventsourcing.Request `json:"request,omitzero"`
}

// Approved is a person's yes. What becomes of the payment is the next event.
type Approved struct {
	PaymentID uuid.UUID             `json:"payment_id"`
	Note      string                `json:"note,omitempty"`
	Request   eventsourcing.Request `json:"request,omitzero"`
}

// Rejected is a person's no, and the end of the payment.
type Rejected struct {
	PaymentID uuid.UUID             `json:"payment_id"`
	Note      string                `json:"note,omitempty"`
	Request   eventsourcing.Request `json:"request,omitzero"`
}

func (Initiated) aboutPayment()        {}
func (Processed) aboutPayment()        {}
func (Failed) aboutPayment()           {}
func (FlaggedForReview) aboutPayment() {}
func (Approved) aboutPayment()         {}
func (Rejected) aboutPayment()         {}

// events are the definitions of the facts. Only commands record them: a client
// that could post payment.processed would not need our rules. Their names are
// on disk and never change.
func events() []eventsourcing.EventType {
	return []eventsourcing.EventType{
		eventsourcing.Type[Initiated]("payment.initiated", eventsourcing.Creates, eventsourcing.ServerOnly),
		eventsourcing.Type[Processed]("payment.processed", eventsourcing.Changes, eventsourcing.ServerOnly, eventsourcing.Upcasts(processedV2)),
		eventsourcing.Type[Failed]("payment.failed", eventsourcing.Changes, eventsourcing.ServerOnly),
		eventsourcing.Type[FlaggedForReview]("payment.flagged_for_review", eventsourcing.Changes, eventsourcing.ServerOnly),
		eventsourcing.Type[Approved]("payment.approved", eventsourcing.Changes, eventsourcing.ServerOnly),
		eventsourcing.Type[Rejected]("payment.rejected", eventsourcing.Changes, eventsourcing.ServerOnly),
	}
}
