package payments

import (
	"context"
	"strconv"
	"testing"

	"github.com/bojanz/currency"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventsourcing/estest"
	"onepg/internal/fault"
)

// ledger adds up money by what it stands for.
type ledger map[string]currency.Amount

func (l ledger) add(t *rapid.T, account string, m Money) {
	amount, err := currency.NewAmount(m.Value, m.Currency)
	if err != nil {
		t.Fatalf("%s is no amount", m)
	}
	account += " " + m.Currency
	if l[account], err = l[account].Add(amount); err != nil {
		t.Fatal(err)
	}
}

// run sends commands of all kinds, sensible and not, to a few payments.
func run(t *rapid.T, handler *eventsourcing.Handler[Payment, Event], ids []uuid.UUID, rules *Rules) {
	for i := range rapid.IntRange(1, 40).Draw(t, "commands") {
		at := rapid.SampledFrom(ids).Draw(t, "payment")
		// Few keys, so that many are repeated.
		request := key(strconv.Itoa(rapid.IntRange(0, 5).Draw(t, "key")))
		var command eventsourcing.Command[Payment, Event]
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			command = Approve{PaymentID: at, Rules: rules, Request: request}
		case 1:
			command = Reject{PaymentID: at, Request: request}
		default:
			code := rapid.SampledFrom([]string{"USD", "EUR", "JPY", "KWD"}).Draw(t, "currency")
			minor, err := currency.NewAmountFromInt64(rapid.Int64Range(1, 30_000_000).Draw(t, "minor units"), code)
			if err != nil {
				t.Fatal(err)
			}
			command = Process{
				PaymentID: at, CustomerID: ada, Amount: moneyOf(minor), Method: rapid.SampledFrom(methods()).Draw(t, "method"),
				Risk: Risk{High: rapid.Bool().Draw(t, "high risk")}, Rules: rules, Request: request,
			}
		}
		if _, err := handler.Handle(context.Background(), at, command); err != nil {
			if _, foreseen := fault.Of(err); !foreseen {
				t.Fatalf("command %d: %v", i, err)
			}
		}
	}
}

// Whatever is asked, in whatever order and however often: the money that was
// initiated is the money that stands somewhere, to the last minor unit; it moves
// at most once; and none moves beyond a limit.
func TestMoneyIsConserved(t *testing.T) {
	t.Parallel()
	rules := rulesOf(t, policy())
	decider, err := eventsourcing.NewDecider(events(), evolve, revision)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		log := estest.NewMemory(events()...)
		handler := eventsourcing.NewHandler(eventsourcing.Commands{
			Log: log, Actor: func(context.Context) string { return "anonymous" },
		}, decider)
		ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
		run(t, handler, ids, rules)
		into, outOf := ledger{}, ledger{}
		for _, id := range ids {
			history, err := log.History(context.Background(), id, 0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			account(t, history, rules, into, outOf)
		}
		for where, amount := range into {
			if !outOf[where].Equal(amount) {
				t.Fatalf("%s: %s were initiated, %s stand somewhere", where, amount, outOf[where])
			}
		}
		if len(outOf) != len(into) {
			t.Fatalf("initiated %v, standing %v", into, outOf)
		}
	})
}

// account enters one payment's history into the ledgers.
func account(t *rapid.T, history []eventsourcing.Recorded, rules *Rules, into, outOf ledger) {
	registry, err := eventsourcing.NewRegistry(events()...)
	if err != nil {
		t.Fatal(err)
	}
	var row *Summary
	var payment *Payment
	moved := 0
	for _, e := range history {
		_, payload, err := registry.Read(e)
		if err != nil {
			t.Fatal(err)
		}
		event, ok := payload.(Event)
		if !ok {
			t.Fatalf("%T", payload)
		}
		switch e := event.(type) {
		case Initiated:
			into.add(t, "payments", e.Amount)
		case Processed:
			moved++
			if reason := rules.overLimit(e.Method, e.Amount); reason != "" {
				t.Fatalf("processed although %s", reason)
			}
		case Failed, FlaggedForReview, Approved, Rejected:
		}
		if row, err = evolveSummary(row, event, e); err != nil {
			t.Fatal(err)
		}
		if payment, err = evolve(payment, event, e); err != nil {
			t.Fatal(err)
		}
	}
	if row == nil {
		return
	}
	outOf.add(t, "payments", Money(row.Amount))
	if completed := row.Status == StatusCompleted; moved > 1 || completed != (moved == 1) {
		t.Fatalf("the payment is %s and its money moved %d times", row.Status, moved)
	}
	if row.Status != payment.Status || Money(row.Amount) != payment.Amount || row.Version != len(history) {
		t.Fatalf("the view shows %+v, the write model is %+v", row, payment)
	}
}
