package payments

import (
	"fmt"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// summaries is the name of the view of payments and of its table.
const summaries = "payment_summaries"

// Summary is a row of the view payment_summaries: a payment as the events so
// far make it, for people to look at.
type Summary struct {
	ID         uuid.UUID    `json:"payment_id"  bun:"payment_id,pk,type:uuid"`
	CustomerID uuid.UUID    `json:"customer_id" bun:"customer_id,type:uuid"`
	Amount     amountColumn `json:"amount"      bun:"embed:"`
	Method     Method       `json:"method"      bun:"method,type:text"`
	Status     Status       `json:"status"      bun:"status,type:text"`
	// RiskScore is of the newest assessment; nil where there was none.
	RiskScore *int `json:"risk_score" required:"true" doc:"0 to 100; null where none was assessed" bun:"risk_score,type:integer"`
	// RequiresReview is true while a person has to decide.
	RequiresReview bool               `json:"requires_review" bun:"requires_review,type:boolean"`
	Reason         *string            `json:"reason,omitempty" doc:"Why it failed" bun:"reason,type:text"`
	Version        int                `json:"version"         bun:"version,type:integer"`
	InitiatedAt    eventsourcing.Time `json:"initiated_at"    bun:"initiated_at,type:timestamptz"`
	// ProcessedAt is when the payment came to stand as it does; nil while it
	// is only initiated.
	ProcessedAt *eventsourcing.Time `json:"processed_at" required:"true" nullable:"true" doc:"When it came to its status; null while it is only initiated" bun:"processed_at,type:timestamptz"`
}

// amountColumn is Money in two columns of the row.
type amountColumn struct {
	Value    string `json:"value"    doc:"A plain decimal" example:"100.00" bun:"amount,type:numeric"`
	Currency string `json:"currency" doc:"ISO 4217"        example:"USD"    bun:"currency,type:text"`
}

// SchemaName is what clients know the type as, who know no columns.
func (amountColumn) SchemaName() string { return "Amount" }

// evolveSummary is the only way a row is ever computed. A nil row is no payment.
func evolveSummary(row *Summary, event Event, from eventsourcing.Recorded) (*Summary, error) {
	if _, first := event.(Initiated); first != (row == nil) {
		return nil, fmt.Errorf("%s cannot follow: the payment exists is %t", from.Name, row != nil)
	}
	next := Summary{ID: from.AggregateID, InitiatedAt: from.RecordedAt}
	if row != nil {
		next = *row
	}
	next.Version = from.Version
	switch e := event.(type) {
	case Initiated:
		next.CustomerID, next.Amount, next.Method, next.Status = e.CustomerID, amountColumn(e.Amount), e.Method, StatusInitiated
		return &next, e.Amount.check()
	case Approved:
		return &next, nil // what becomes of the payment is the next event
	case Processed:
		next.Amount, next.Status = amountColumn(e.Amount), StatusCompleted
		next.assess(e.RiskScore)
	case Failed:
		next.Status, next.Reason = StatusFailed, &e.Reason
		next.assess(e.RiskScore)
	case FlaggedForReview:
		next.Status = StatusPendingReview
		next.assess(&e.RiskScore)
	case Rejected:
		next.Status = StatusRejected
	}
	if err := Money(next.Amount).check(); err != nil {
		return nil, err
	}
	next.RequiresReview = next.Status == StatusPendingReview
	next.ProcessedAt = &from.RecordedAt
	return &next, nil
}

// assess keeps the score of the newest assessment.
func (s *Summary) assess(score *int) {
	if score != nil {
		s.RiskScore = score
	}
}
