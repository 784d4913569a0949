package payments

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/bojanz/currency"
)

// Money is an exact amount of an ISO 4217 currency. The value is a plain
// decimal with exactly the digits that the currency has ("100.00" USD, "100"
// JPY, "100.000" KWD), so equal amounts are equal texts. No float is involved
// anywhere.
//
// The arithmetic and the list of currencies come from bojanz/currency: a
// decimal of arbitrary precision beneath, the currencies and their digits from
// CLDR, which says what is in use (two digits for USD, none for RSD, whose
// hundredth part nobody pays with), and kept up to date.
type Money struct {
	Value    string `json:"value"    doc:"A plain decimal" example:"100.00" pattern:"^-?(0|[1-9][0-9]{0,14})([.][0-9]{1,15})?$"`
	Currency string `json:"currency" doc:"ISO 4217"        example:"USD"    pattern:"^[A-Z]{3}$"`
}

// String is the amount for people.
func (m Money) String() string { return m.Value + " " + m.Currency }

// plainDecimal is how amounts are written: no sign, no exponent, no leading
// zero, no more than 15 digits before the point.
var plainDecimal = regexp.MustCompile(`^(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$`)

// amountError is what is wrong with an amount, in words: with its value, its
// currency or both.
type amountError struct{ value, currency string }

// Error is for whoever did not look for the two.
func (m amountError) Error() string {
	return "amount: value: " + m.value + "; currency: " + m.currency
}

// newMoney reads an amount as clients write it. Its error is an amountError.
func newMoney(value, code string) (Money, error) {
	var wrong amountError
	digits, ok := currency.GetDigits(code)
	if !ok {
		wrong.currency = "must be the code of an ISO 4217 currency, such as USD"
	}
	if !plainDecimal.MatchString(value) {
		wrong.value = "must be a plain decimal such as 100.00, with at most 15 digits before the point"
	}
	if wrong != (amountError{}) {
		return Money{}, wrong
	}
	amount, err := currency.NewAmount(value, code)
	if err != nil {
		return Money{}, amountError{value: "must be a plain decimal such as 100.00"}
	}
	rounded := amount.Round()
	switch {
	case !rounded.Equal(amount):
		return Money{}, amountError{value: fmt.Sprintf("has too many digits after the point: %s has %d", code, digits)}
	case !amount.IsPositive():
		return Money{}, amountError{value: "must be more than zero"}
	}
	return moneyOf(rounded), nil
}

// moneyOf rounds an amount to the digits of its currency, halves up.
func moneyOf(a currency.Amount) Money {
	a = a.Round()
	return Money{Value: a.Number(), Currency: a.CurrencyCode()}
}

// check refuses what the view's column would not take: an event is the
// database's to refuse only when its whole batch is lost with it. It lets
// through what a client may not send, such as less than zero, because version 1
// of payment.processed may hold it.
func (m Money) check() error {
	if !plainDecimal.MatchString(strings.TrimPrefix(m.Value, "-")) {
		return fmt.Errorf("the amount %q is no decimal", m.Value)
	}
	return nil
}

// isOver tells whether m is more than limit, an amount of the same currency.
func (m Money) isOver(limit currency.Amount) bool {
	amount, err := currency.NewAmount(m.Value, m.Currency)
	if err != nil {
		return true // not an amount of ours: nothing lets it pass
	}
	order, err := amount.Cmp(limit)
	return err != nil || order > 0
}
