package payments

import (
	"context"
	"fmt"
	"time"

	"github.com/bojanz/currency"
	"github.com/google/uuid"
)

// Subject is what a risk is assessed of.
type Subject struct {
	CustomerID uuid.UUID
	Amount     Money
	Method     Method
}

// Risk is the outcome of an assessment.
type Risk struct {
	Score   int // 0 to 100
	High    bool
	Reasons []string // for the person who reviews
}

// RiskAssessment rates a payment before the rules decide on it. [New] takes the
// [Scorecard]; put a service of your own in its place there. An error refuses the
// command for now; nothing is recorded.
type RiskAssessment interface {
	// Assess gives the risk of the subject as things stand now.
	Assess(ctx context.Context, s Subject) (Risk, error)
}

// Recent is what a customer has done lately, as far as the view shows it.
type Recent struct {
	Known    bool // a payment of the customer's was completed
	Payments int  // payments within the window
	Troubles int  // of these, failed or rejected
}

// Scorecard is the default assessment: it adds points.
//
//	method     wallet 40, credit_card 30, debit_card 20, bank_transfer 10
//	amount     over half the review limit 10, over the limit 30, over five times it 40
//	customer   no completed payment yet 20, a burst of payments 20, a failed or rejected one 20
//
// The sum, at most 100, is high from Policy.HighRisk on. The customer's points
// are only asked for when the amount is over the review limit. Why: below it no
// score changes what becomes of the payment, and the question is a query more
// on the way of every payment.
type Scorecard struct {
	rules  *Rules
	recent func(ctx context.Context, customerID uuid.UUID, window time.Duration) (Recent, error)
}

// Assess is for [RiskAssessment].
func (c Scorecard) Assess(ctx context.Context, s Subject) (Risk, error) {
	known := Recent{Known: true}
	if c.rules.needsReview(s.Amount) {
		var err error
		if known, err = c.recent(ctx, s.CustomerID, c.rules.policy.RiskWindow); err != nil {
			return Risk{}, err
		}
	}
	return c.score(s, known), nil
}

// score is the scorecard itself; see [Scorecard].
func (c Scorecard) score(s Subject, r Recent) Risk {
	var risk Risk
	add := func(points int, reason string) {
		risk.Score += points
		risk.Reasons = append(risk.Reasons, fmt.Sprintf("%s: %d", reason, points))
	}
	switch s.Method {
	case Wallet:
		add(40, "wallet")
	case CreditCard:
		add(30, "credit card")
	case DebitCard:
		add(20, "debit card")
	case BankTransfer:
		add(10, "bank transfer")
	}
	switch limit := c.rules.reviewOver[s.Amount.Currency]; {
	case s.Amount.isOver(times(limit, "5")):
		add(40, "over five times the review limit")
	case s.Amount.isOver(limit):
		add(30, "over the review limit")
	case s.Amount.isOver(times(limit, "0.5")):
		add(10, "over half the review limit")
	}
	if !r.Known {
		add(20, "no completed payment yet")
	}
	if r.Payments >= c.rules.policy.RiskBurst {
		add(20, fmt.Sprintf("%d recent payments", r.Payments))
	}
	if r.Troubles > 0 {
		add(20, fmt.Sprintf("%d recent payments failed or rejected", r.Troubles))
	}
	risk.Score = min(risk.Score, 100)
	risk.High = risk.Score >= c.rules.policy.HighRisk
	return risk
}

// times gives nothing, over which everything is, where it cannot multiply.
func times(a currency.Amount, factor string) currency.Amount {
	product, err := a.Mul(factor)
	if err != nil {
		return currency.Amount{}
	}
	return product
}
