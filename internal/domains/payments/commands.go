package payments

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

// commands serves what changes payments.
type commands struct {
	handler *eventsourcing.Handler[Payment, Event]
	rules   *Rules
	risk    RiskAssessment
	// wait returns true as soon as the summaries show the events.
	wait func(ctx context.Context, events []eventsourcing.Receipt) bool
}

func (c commands) register(g *httpapi.Group) {
	answers := "The answer has the payment as it stands then, so there is nothing to read after the write. " +
		"The same Idempotency-Key with the same body answers the same again. With Prefer: wait=N the answer comes " +
		"when every view of the domain shows the events, or after N seconds."
	httpapi.Post(g, httpapi.Operation{
		Path: "/{payment_id}/process", ID: "process-payment", Scope: "payments:write", Summary: "Pay",
		Description: "Initiates the payment if it is new, assesses its risk, and completes it, fails it or flags it for review. " + answers,
		Problems: append(refusals(),
			httpapi.Refusal{Kind: fault.Conflict, Code: "payment-pending-review"},
			httpapi.Refusal{Kind: fault.Conflict, Code: "payment-differs"},
			httpapi.Refusal{Kind: fault.Conflict, Code: "aggregate-exists"}),
	}, c.process)
	reviews := append(refusals(),
		httpapi.Refusal{Kind: fault.NotFound, Code: "not-found"},
		httpapi.Refusal{Kind: fault.Conflict, Code: "payment-not-pending-review"})
	httpapi.Post(g, httpapi.Operation{
		Path: "/{payment_id}/approve", ID: "approve-payment", Scope: "payments:write", Summary: "Approve a payment that was flagged for review",
		Description: "Completes it, or fails it where the method cannot carry the amount. " + answers, Problems: reviews,
	}, c.approve)
	httpapi.Post(g, httpapi.Operation{
		Path: "/{payment_id}/reject", ID: "reject-payment", Scope: "payments:write", Summary: "Reject a payment that was flagged for review",
		Description: "Ends it. " + answers, Problems: reviews,
	}, c.reject)
}

// refusals are those that every command shares.
func refusals() []httpapi.Refusal {
	return []httpapi.Refusal{
		{Kind: fault.Conflict, Code: "payment-already-completed"},
		{Kind: fault.Conflict, Code: "payment-already-failed"},
		{Kind: fault.Conflict, Code: "payment-already-rejected"},
		{Kind: fault.Conflict, Code: "version-conflict"},
		{Kind: fault.Invalid, Code: "idempotency-key-reused"},
	}
}

// commandOutput is the write model after the command.
type commandOutput struct {
	PreferenceApplied string `header:"Preference-Applied" doc:"wait=N, where the views had caught up in time."`
	Body              struct {
		PaymentID uuid.UUID                `json:"payment_id"`
		Status    Status                   `json:"status" enum:"initiated,completed,failed,pending_review,rejected"`
		Version   int                      `json:"version"`
		Events    []eventsourcing.Recorded `json:"events" nullable:"false" doc:"What the command recorded."`
	}
}

type processInput struct {
	httpapi.Idempotent
	httpapi.Waiting

	ID   httpapi.ID `path:"payment_id" doc:"The payment's id, made by the client."`
	Body processBody
}

type processBody struct {
	CustomerID string     `json:"customer_id" format:"uuid" example:"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01" doc:"The user who pays."`
	Amount     amountBody `json:"amount"`
	Method     Method     `json:"method" enum:"credit_card,debit_card,bank_transfer,wallet"`
}

type amountBody struct {
	Value    string `json:"value" minLength:"1" example:"100.00" doc:"A plain decimal, more than zero, with no more digits after the point than the currency has."`
	Currency string `json:"currency" minLength:"1" example:"USD" doc:"ISO 4217."`
}

// Resolve finds what the types cannot: it is called with whatever could be
// read, so it leaves alone what is missing or malformed.
func (b *processBody) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	var mistakes []error
	mistake := func(field, detail string) {
		if detail != "" {
			mistakes = append(mistakes, &huma.ErrorDetail{Location: at.With(field), Message: detail})
		}
	}
	var id httpapi.ID
	if b.CustomerID != "" && id.UnmarshalText([]byte(b.CustomerID)) != nil {
		mistake("customer_id", "must be a UUID in canonical form, neither nil nor max")
	}
	at.Push("amount")
	defer at.Pop()
	var wrong amountError
	if _, err := newMoney(b.Amount.Value, b.Amount.Currency); errors.As(err, &wrong) {
		if b.Amount.Value != "" {
			mistake("value", wrong.value)
		}
		if b.Amount.Currency != "" {
			mistake("currency", wrong.currency)
		}
	}
	return mistakes
}

func (c commands) process(ctx context.Context, in *processInput) (*commandOutput, error) {
	amount, err := newMoney(in.Body.Amount.Value, in.Body.Amount.Currency)
	if err != nil {
		return nil, err
	}
	if err := c.accept(in.Body.Method, amount.Currency); err != nil {
		return nil, err
	}
	var customerID httpapi.ID
	if err := customerID.UnmarshalText([]byte(in.Body.CustomerID)); err != nil {
		return nil, err
	}
	same := processBody{CustomerID: customerID.String(), Amount: amountBody(amount), Method: in.Body.Method}
	request, err := in.Request("process", same)
	if err != nil {
		return nil, err
	}
	risk, err := c.risk.Assess(ctx, Subject{CustomerID: customerID.UUID, Amount: amount, Method: in.Body.Method})
	if err != nil {
		return nil, err
	}
	return c.handle(ctx, in.ID.UUID, &in.Waiting, Process{
		PaymentID: in.ID.UUID, CustomerID: customerID.UUID, Amount: amount, Method: in.Body.Method,
		Risk: risk, Rules: c.rules, Request: request,
	})
}

// accept refuses what this installation has no rules for.
func (c commands) accept(method Method, code string) error {
	var fields []fault.Field
	badMethod, badCurrency := c.rules.refuse(method, code)
	if badCurrency != "" {
		fields = append(fields, fault.Field{Pointer: "/amount/currency", Detail: badCurrency})
	}
	if badMethod != "" {
		fields = append(fields, fault.Field{Pointer: "/method", Detail: badMethod})
	}
	if len(fields) > 0 {
		return fault.Validation(fields)
	}
	return nil
}

type reviewInput struct {
	httpapi.Idempotent
	httpapi.Waiting

	ID   httpapi.ID `path:"payment_id" doc:"The payment's id."`
	Body *reviewBody
}

type reviewBody struct {
	Note string `json:"note,omitempty" nullable:"true" maxLength:"1000" example:"called the customer" doc:"Why, for people."`
}

func (in *reviewInput) note() string {
	if in.Body == nil {
		return ""
	}
	return in.Body.Note
}

func (c commands) approve(ctx context.Context, in *reviewInput) (*commandOutput, error) {
	request, err := in.Request("approve", in.note())
	if err != nil {
		return nil, err
	}
	return c.handle(ctx, in.ID.UUID, &in.Waiting, Approve{PaymentID: in.ID.UUID, Note: in.note(), Rules: c.rules, Request: request})
}

func (c commands) reject(ctx context.Context, in *reviewInput) (*commandOutput, error) {
	request, err := in.Request("reject", in.note())
	if err != nil {
		return nil, err
	}
	return c.handle(ctx, in.ID.UUID, &in.Waiting, Reject{PaymentID: in.ID.UUID, Note: in.note(), Request: request})
}

// handle carries the command out and answers with what became of it.
func (c commands) handle(
	ctx context.Context, id uuid.UUID, client *httpapi.Waiting, command eventsourcing.Command[Payment, Event],
) (*commandOutput, error) {
	outcome, err := c.handler.Handle(ctx, id, command)
	if err != nil {
		return nil, err
	}
	out := new(commandOutput)
	out.Body.PaymentID, out.Body.Status = id, outcome.State.Status
	out.Body.Version, out.Body.Events = outcome.Version, outcome.Events
	receipts := make([]eventsourcing.Receipt, len(outcome.Events))
	for i, e := range outcome.Events {
		receipts[i] = e.Receipt()
	}
	out.PreferenceApplied = client.Await(ctx, func(ctx context.Context) bool { return c.wait(ctx, receipts) })
	return out, nil
}
