package payments

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bojanz/currency"
)

// Method is how a payment is made.
type Method string

// The methods that the risk assessment knows.
const (
	CreditCard   Method = "credit_card"
	DebitCard    Method = "debit_card"
	BankTransfer Method = "bank_transfer"
	Wallet       Method = "wallet"
)

// Policy is what an operator decides about payments; package config has the
// defaults. Amounts are in USD; the equal in another currency is the amount
// times its rate.
type Policy struct {
	// Limits are the most that may be paid at once, by method. A method that
	// is not listed is not accepted.
	Limits map[string]string
	// Rates are the units of a currency that count as 1 USD here. They need
	// not follow the market. A currency that is not listed is not accepted.
	Rates map[string]string
	// ReviewOver is the amount above which a payment of high risk is put
	// before a person.
	ReviewOver string
	// HighRisk is the score from which a risk is high.
	HighRisk int
	// RiskWindow is how long a customer's payments count as recent.
	RiskWindow time.Duration
	// RiskBurst is how many recent payments are suspicious.
	RiskBurst int
}

// Rules are a policy made ready for decisions. They are read-only.
type Rules struct {
	policy     Policy
	reviewOver map[string]currency.Amount            // by currency
	limits     map[Method]map[string]currency.Amount // by method and currency
}

// newRules checks the policy and works out its amounts in every currency.
func newRules(p Policy) (*Rules, error) {
	r := &Rules{policy: p, limits: make(map[Method]map[string]currency.Amount)}
	rates := map[string]string{"USD": "1"}
	maps.Copy(rates, p.Rates)
	var errs []error
	equal := func(what, usd string) map[string]currency.Amount {
		amounts, err := equals(usd, rates)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
		return amounts
	}
	r.reviewOver = equal("APP_PAYMENT_REVIEW_OVER", p.ReviewOver)
	for name, usd := range p.Limits {
		if !slices.Contains(methods(), Method(name)) {
			errs = append(errs, fmt.Errorf("APP_PAYMENT_LIMITS: %s is none of %v", name, methods()))
			continue
		}
		r.limits[Method(name)] = equal("APP_PAYMENT_LIMITS: "+name, usd)
	}
	return r, errors.Join(errs...)
}

func methods() []Method { return []Method{CreditCard, DebitCard, BankTransfer, Wallet} }

// equals gives an amount of USD in each currency, exactly.
func equals(usd string, rates map[string]string) (map[string]currency.Amount, error) {
	base, err := currency.NewAmount(usd, "USD")
	if err != nil {
		return nil, fmt.Errorf("%q is no amount: %w", usd, err)
	}
	amounts := make(map[string]currency.Amount, len(rates))
	for code, rate := range rates {
		if amounts[code], err = base.Convert(code, rate); err != nil {
			return nil, fmt.Errorf("rate %s of APP_PAYMENT_RATES: %w", code, err)
		}
	}
	return amounts, nil
}

// refuse says why the method, or the currency, is not accepted at all; "" if it
// is.
func (r *Rules) refuse(method Method, code string) (badMethod, badCurrency string) {
	if _, ok := r.limits[method]; !ok {
		badMethod = "is not accepted; accepted are " + list(r.limits)
	}
	if _, ok := r.reviewOver[code]; !ok {
		badCurrency = "is not accepted; accepted are " + list(r.reviewOver)
	}
	return badMethod, badCurrency
}

func list[K ~string, V any](of map[K]V) string {
	var names []string
	for name := range of {
		names = append(names, string(name))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// needsReview tells whether the amount is one that a person has to look at if
// its risk is high.
func (r *Rules) needsReview(amount Money) bool {
	return amount.isOver(r.reviewOver[amount.Currency])
}

// overLimit gives the reason why the method cannot carry the amount, or "".
func (r *Rules) overLimit(method Method, amount Money) string {
	limit, ok := r.limits[method][amount.Currency]
	switch {
	case !ok:
		return fmt.Sprintf("%s in %s is not accepted", method, amount.Currency)
	case amount.isOver(limit):
		return fmt.Sprintf("%s exceeds the limit of %s for %s", amount, moneyOf(limit), method)
	}
	return ""
}
