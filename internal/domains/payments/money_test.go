package payments

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/bojanz/currency"
	"pgregory.net/rapid"
)

func TestAmountsAreReadExactly(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"100", "USD", "100.00"},
		{"100.5", "USD", "100.50"},
		{"100.50", "USD", "100.50"},
		{"0.01", "USD", "0.01"},
		{"100.500", "USD", "100.50"},
		{"100", "JPY", "100"},
		{"100.00", "JPY", "100"},
		{"1.5", "KWD", "1.500"},
		{"999999999999999.99", "USD", "999999999999999.99"},
	} {
		if m, err := newMoney(c[0], c[1]); err != nil || m != (Money{c[2], c[1]}) {
			t.Errorf("%s %s: %v, %v", c[0], c[1], m, err)
		}
	}
}

func TestWhatIsNoAmountIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, code, field string }{
		{"1e3", "USD", "value"},
		{"1E3", "USD", "value"},
		{"-1", "USD", "value"},
		{"+1", "USD", "value"},
		{"NaN", "USD", "value"},
		{"Infinity", "USD", "value"},
		{"", "USD", "value"},
		{" 1", "USD", "value"},
		{"1,000", "USD", "value"},
		{"0x10", "USD", "value"},
		{"1.", "USD", "value"},
		{".5", "USD", "value"},
		{"01", "USD", "value"},
		{"1_000", "USD", "value"},
		{"١٠", "USD", "value"},
		{"0", "USD", "value"},
		{"0.00", "USD", "value"},
		{"0.001", "USD", "value"},
		{"1.001", "USD", "value"},
		{"1.5", "JPY", "value"},
		{"1.0001", "KWD", "value"},
		{"1000000000000000", "USD", "value"},
		{"1." + strings.Repeat("0", 16), "USD", "value"},
		{"1", "usd", "currency"},
		{"1", "XXQ", "currency"},
		{"1", "", "currency"},
		{"1", "BTC", "currency"},
		{"1", "US", "currency"},
		{"1e3", "XXQ", "both"},
	} {
		_, err := newMoney(c.value, c.code)
		var wrong amountError
		if !errors.As(err, &wrong) {
			t.Errorf("%q %q is accepted", c.value, c.code)
			continue
		}
		if (wrong.value != "") != (c.field != "currency") || (wrong.currency != "") != (c.field != "value") {
			t.Errorf("%q %q: %+v", c.value, c.code, wrong)
		}
	}
}

// Equal amounts are equal texts, and reading what was written changes nothing.
func TestAnAmountHasOneText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.SampledFrom([]string{"USD", "EUR", "JPY", "KWD", "BHD", "HUF"}).Draw(t, "currency")
		minor := rapid.Int64Range(1, 1e15-1).Draw(t, "minor units")
		amount, err := currency.NewAmountFromBigInt(big.NewInt(minor), code)
		if err != nil {
			t.Fatal(err)
		}
		m, err := newMoney(amount.Number(), code)
		if err != nil {
			t.Fatalf("%s: %v", amount, err)
		}
		again, err := newMoney(m.Value, m.Currency)
		if err != nil || again != m {
			t.Fatalf("%s reads as %s, %v", m, again, err)
		}
		if back, err := currency.NewAmount(m.Value, m.Currency); err != nil || back.BigInt().Int64() != minor {
			t.Fatalf("%d minor units are written as %s", minor, m)
		}
	})
}

func TestABadPolicyIsExplained(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Policy){
		"cash is none of":           func(p *Policy) { p.Limits = map[string]string{"cash": "1"} },
		"APP_PAYMENT_REVIEW_OVER":   func(p *Policy) { p.ReviewOver = "much" },
		"rate XXQ":                  func(p *Policy) { p.Rates = map[string]string{"XXQ": "1"} },
		"APP_PAYMENT_LIMITS: walle": func(p *Policy) { p.Limits = map[string]string{"wallet": "x"} },
	} {
		p := policy()
		change(&p)
		if _, err := newRules(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
}
