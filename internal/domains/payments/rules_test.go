package payments

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventsourcing/estest"
)

// policy is one whose amounts are easy to remember.
func policy() Policy {
	return Policy{
		Limits:     map[string]string{"credit_card": "50000", "debit_card": "25000", "bank_transfer": "250000", "wallet": "15000"},
		Rates:      map[string]string{"EUR": "0.9", "JPY": "150", "KWD": "0.3"},
		ReviewOver: "10000", HighRisk: 70, RiskWindow: 24 * time.Hour, RiskBurst: 5,
	}
}

func rulesOf(tb testing.TB, p Policy) *Rules {
	tb.Helper()
	r, err := newRules(p)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// story begins a test of a command; see estest.
func story(tb testing.TB) *estest.Story[Payment, Event] {
	tb.Helper()
	decider, err := eventsourcing.NewDecider(events(), evolve, revision)
	if err != nil {
		tb.Fatal(err)
	}
	return estest.Of(tb, decider)
}

var (
	id   = uuid.MustParse("0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0c01")
	ada  = uuid.MustParse("0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01")
	bob  = uuid.MustParse("0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b02")
	low  = Risk{Score: 30}
	high = Risk{Score: 90, High: true, Reasons: []string{"wallet: 40"}}
)

func usd(value string) Money { return Money{Value: value, Currency: "USD"} }

func key(k string) eventsourcing.Request { return eventsourcing.Request{Key: k, Hash: "hash of " + k} }

func initiated(amount Money, method Method) Event {
	return Initiated{PaymentID: id, CustomerID: ada, Amount: amount, Method: method, Request: key("first")}
}

func process(tb testing.TB, amount Money, method Method, risk Risk) Process {
	tb.Helper()
	return Process{
		PaymentID: id, CustomerID: ada, Amount: amount, Method: method, Risk: risk,
		Rules: rulesOf(tb, policy()), Request: key("first"),
	}
}

func processed(amount Money, method Method, risk Risk) Event {
	return Processed{PaymentID: id, Amount: amount, Method: method, RiskScore: &risk.Score, Request: key("first")}
}

func failed(reason string, risk Risk) Event {
	return Failed{PaymentID: id, Reason: reason, RiskScore: &risk.Score, Request: key("first")}
}

func flagged(amount Money) Event {
	return FlaggedForReview{PaymentID: id, Amount: amount, RiskScore: high.Score, Reasons: high.Reasons, Request: key("first")}
}

func TestTheFateOfAPayment(t *testing.T) {
	t.Parallel()
	eur := func(value string) Money { return Money{Value: value, Currency: "EUR"} }
	jpy := func(value string) Money { return Money{Value: value, Currency: "JPY"} }
	for _, c := range []struct {
		name   string
		amount Money
		method Method
		risk   Risk
		fate   Event
		status Status
	}{
		{"low risk is processed", usd("100.00"), CreditCard, low, processed(usd("100.00"), CreditCard, low), StatusCompleted},
		{"low risk of any amount is processed", usd("49999.99"), CreditCard, low, processed(usd("49999.99"), CreditCard, low), StatusCompleted},
		{"high risk of a small amount is processed", usd("100.00"), Wallet, high, processed(usd("100.00"), Wallet, high), StatusCompleted},
		{"high risk of 10,000 is processed", usd("10000.00"), Wallet, high, processed(usd("10000.00"), Wallet, high), StatusCompleted},
		{"high risk of more is flagged", usd("10000.01"), Wallet, high, flagged(usd("10000.01")), StatusPendingReview},
		{"in euros 9,000 are the equal", eur("9000.00"), Wallet, high, processed(eur("9000.00"), Wallet, high), StatusCompleted},
		{"and a cent more is flagged", eur("9000.01"), Wallet, high, flagged(eur("9000.01")), StatusPendingReview},
		{"in yen 1,500,000 are the equal", jpy("1500001"), Wallet, high, flagged(jpy("1500001")), StatusPendingReview},
		{"a method's limit is still within it", usd("15000.00"), Wallet, low, processed(usd("15000.00"), Wallet, low), StatusCompleted},
		{
			"over the limit of a wallet fails", usd("15000.01"), Wallet, low,
			failed("15000.01 USD exceeds the limit of 15000.00 USD for wallet", low), StatusFailed,
		},
		{
			"over the limit of a card fails", usd("50000.01"), CreditCard, low,
			failed("50000.01 USD exceeds the limit of 50000.00 USD for credit_card", low), StatusFailed,
		},
		{
			"limits have their equals too", jpy("3750001"), DebitCard, low,
			failed("3750001 JPY exceeds the limit of 3750000 JPY for debit_card", low), StatusFailed,
		},
		{"the risk is judged before the limit", usd("60000.00"), CreditCard, high, flagged(usd("60000.00")), StatusPendingReview},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			command := process(t, c.amount, c.method, c.risk)
			if p := story(t).When(command).Then(initiated(c.amount, c.method), c.fate); p.Status != c.status {
				t.Errorf("status %s, want %s", p.Status, c.status)
			}
			// One that was only initiated goes on from there, under any key.
			command.Request = key("second")
			started := Initiated{PaymentID: id, CustomerID: ada, Amount: c.amount, Method: c.method}
			story(t).Given(started).When(command).Then(command.fate())
		})
	}
}

func TestAPaymentIsProcessedOnce(t *testing.T) {
	t.Parallel()
	again := process(t, usd("100.00"), Wallet, low)
	again.Request = key("second")
	start := initiated(usd("100.00"), Wallet)
	for _, c := range []struct {
		past    []Event
		refusal string
	}{
		{[]Event{start, processed(usd("100.00"), Wallet, low)}, "payment-already-completed"},
		{[]Event{start, failed("limit", low)}, "payment-already-failed"},
		{[]Event{start, flagged(usd("100.00"))}, "payment-pending-review"},
		{[]Event{start, flagged(usd("100.00")), Rejected{PaymentID: id}}, "payment-already-rejected"},
	} {
		story(t).Given(c.past...).When(again).ThenRefused(c.refusal)
	}
}

func TestAnInitiatedPaymentIsNotChangedByProcessingIt(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Process){
		"customer": func(p *Process) { p.CustomerID = bob },
		"amount":   func(p *Process) { p.Amount = usd("100.01") },
		"currency": func(p *Process) { p.Amount.Currency = "EUR" },
		"method":   func(p *Process) { p.Method = CreditCard },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := process(t, usd("100.00"), Wallet, low)
			command.Request = key("second")
			change(&command)
			story(t).Given(initiated(usd("100.00"), Wallet)).When(command).ThenRefused("payment-differs")
		})
	}
}

func TestAPersonDecidesOnAFlaggedPayment(t *testing.T) {
	t.Parallel()
	rules := rulesOf(t, policy())
	approve := Approve{PaymentID: id, Note: "called her", Rules: rules, Request: key("review")}
	reject := Reject{PaymentID: id, Note: "not her", Request: key("review")}
	approved := Approved{PaymentID: id, Note: "called her", Request: key("review")}

	past := []Event{initiated(usd("12000.00"), Wallet), flagged(usd("12000.00"))}
	p := story(t).Given(past...).When(approve).
		Then(approved, Processed{PaymentID: id, Amount: usd("12000.00"), Method: Wallet, Request: key("review")})
	if p.Status != StatusCompleted {
		t.Errorf("approved: %s", p.Status)
	}
	p = story(t).Given(past...).When(reject).Then(Rejected{PaymentID: id, Note: "not her", Request: key("review")})
	if p.Status != StatusRejected {
		t.Errorf("rejected: %s", p.Status)
	}
	// Nobody can approve what the method cannot carry.
	p = story(t).Given(initiated(usd("60000.00"), CreditCard), flagged(usd("60000.00"))).When(approve).
		Then(approved, Failed{PaymentID: id, Reason: "60000.00 USD exceeds the limit of 50000.00 USD for credit_card", Request: key("review")})
	if p.Status != StatusFailed {
		t.Errorf("approved over the limit: %s", p.Status)
	}
	// The limits are those of the day of the decision.
	strict := policy()
	delete(strict.Rates, "EUR")
	approve.Rules = rulesOf(t, strict)
	euros := Money{Value: "9500.00", Currency: "EUR"}
	story(t).Given(initiated(euros, Wallet), flagged(euros)).When(approve).
		Then(approved, Failed{PaymentID: id, Reason: "wallet in EUR is not accepted", Request: key("review")})
}

func TestAPersonDecidesOnNothingElse(t *testing.T) {
	t.Parallel()
	start := initiated(usd("100.00"), Wallet)
	for _, c := range []struct {
		refusal string
		past    []Event
	}{
		{"not-found", nil},
		{"payment-not-pending-review", []Event{start}},
		{"payment-already-completed", []Event{start, processed(usd("100.00"), Wallet, low)}},
		{"payment-already-failed", []Event{start, failed("limit", low)}},
		{"payment-already-rejected", []Event{start, flagged(usd("100.00")), Rejected{PaymentID: id, Request: key("other")}}},
	} {
		story(t).Given(c.past...).When(Approve{PaymentID: id, Rules: rulesOf(t, policy()), Request: key("review")}).ThenRefused(c.refusal)
		story(t).Given(c.past...).When(Reject{PaymentID: id, Request: key("review")}).ThenRefused(c.refusal)
	}
}

func TestARepeatedRequestIsKnownFromThePaymentsHistory(t *testing.T) {
	t.Parallel()
	rules := rulesOf(t, policy())
	past := []Event{
		initiated(usd("12000.00"), Wallet), flagged(usd("12000.00")),
		Approved{PaymentID: id, Request: key("review")},
		Processed{PaymentID: id, Amount: usd("12000.00"), Method: Wallet, Request: key("review")},
	}
	first := process(t, usd("12000.00"), Wallet, low) // also when the risk is another by now
	story(t).Given(past...).When(first).ThenRepeats(1, 2)
	story(t).Given(past...).When(Approve{PaymentID: id, Rules: rules, Request: key("review")}).ThenRepeats(3, 4)
	story(t).Given(past[0], past[1], Rejected{PaymentID: id, Request: key("no")}).
		When(Reject{PaymentID: id, Request: key("no")}).ThenRepeats(3, 3)

	other := eventsourcing.Request{Key: "first", Hash: "of something else"}
	first.Request = other
	story(t).Given(past...).When(first).ThenRefused("idempotency-key-reused")
	story(t).Given(past...).When(Approve{PaymentID: id, Rules: rules, Request: other}).ThenRefused("idempotency-key-reused")
	story(t).Given(past...).When(Reject{PaymentID: id, Request: other}).ThenRefused("idempotency-key-reused")
}

func TestTheScorecard(t *testing.T) {
	t.Parallel()
	card := Scorecard{rules: rulesOf(t, policy())}
	known := Recent{Known: true}
	for _, c := range []struct {
		name   string
		amount string
		method Method
		recent Recent
		score  int
		high   bool
	}{
		{"a bank transfer", "5000.00", BankTransfer, known, 10, false},
		{"a debit card", "5000.00", DebitCard, known, 20, false},
		{"a credit card", "5000.00", CreditCard, known, 30, false},
		{"a wallet", "5000.00", Wallet, known, 40, false},
		{"over half the review limit", "5000.01", Wallet, known, 50, false},
		{"the review limit itself", "10000.00", Wallet, known, 50, false},
		{"over it", "10000.01", Wallet, known, 70, true},
		{"over five times", "50000.01", CreditCard, known, 70, true},
		{"a customer nobody knows", "10000.01", DebitCard, Recent{}, 70, true},
		{"a burst", "10000.01", DebitCard, Recent{Known: true, Payments: 5}, 70, true},
		{"nearly a burst", "10000.01", DebitCard, Recent{Known: true, Payments: 4}, 50, false},
		{"trouble lately", "10000.01", DebitCard, Recent{Known: true, Payments: 1, Troubles: 1}, 70, true},
		{"everything at once is 100", "50000.01", Wallet, Recent{Payments: 9, Troubles: 9}, 100, true},
	} {
		got := card.score(Subject{CustomerID: ada, Amount: usd(c.amount), Method: c.method}, c.recent)
		if got.Score != c.score || got.High != c.high {
			t.Errorf("%s: %d, high %t (%q), want %d, high %t", c.name, got.Score, got.High, got.Reasons, c.score, c.high)
		}
	}
}
