package payments

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onepg/internal/eventsourcing"
)

// moment is when the event of a version was recorded.
func moment(version int) eventsourcing.Time {
	return eventsourcing.At(time.Date(2026, 11, 21, 3, version, 0, 0, time.UTC))
}

func from(name string, version int) eventsourcing.Recorded {
	return eventsourcing.Recorded{AggregateID: id, Name: name, Version: version, RecordedAt: moment(version)}
}

// The projection, event by event: given the row so far, when this happens, then
// that is the row.
func TestASummaryFollowsItsPayment(t *testing.T) {
	t.Parallel()
	score, reason := 90, "limit"
	at := func(version int) *eventsourcing.Time { m := moment(version); return &m }
	pending := Summary{
		ID: id, CustomerID: ada, Amount: amountColumn(usd("12000.00")), Method: Wallet, Status: StatusInitiated,
		Version: 1, InitiatedAt: moment(1),
	}
	flaggedRow := pending
	flaggedRow.Status, flaggedRow.RequiresReview, flaggedRow.RiskScore = StatusPendingReview, true, &score
	flaggedRow.Version, flaggedRow.ProcessedAt = 2, at(2)
	with := func(row Summary, change func(*Summary)) *Summary {
		change(&row)
		return &row
	}
	for _, c := range []struct {
		name    string
		given   *Summary
		when    Event
		version int
		then    *Summary
	}{
		{"initiated", nil, initiated(usd("12000.00"), Wallet), 1, &pending},
		{"flagged", &pending, flagged(usd("12000.00")), 2, &flaggedRow},
		{"processed", &pending, Processed{Amount: usd("12000.00"), RiskScore: &score}, 2, with(pending, func(r *Summary) {
			r.Status, r.RiskScore, r.Version, r.ProcessedAt = StatusCompleted, &score, 2, at(2)
		})},
		{"processed by version 1", &pending, Processed{Amount: usd("11999.00")}, 2, with(pending, func(r *Summary) {
			r.Amount, r.Status, r.Version, r.ProcessedAt = amountColumn(usd("11999.00")), StatusCompleted, 2, at(2)
		})},
		{"failed", &pending, Failed{Reason: "limit"}, 2, with(pending, func(r *Summary) {
			r.Status, r.Reason, r.Version, r.ProcessedAt = StatusFailed, &reason, 2, at(2)
		})},
		{"approved, which decides nothing yet", &flaggedRow, Approved{}, 3, with(flaggedRow, func(r *Summary) { r.Version = 3 })},
		{"processed after a review keeps the score", &flaggedRow, Processed{Amount: usd("12000.00")}, 4, with(flaggedRow, func(r *Summary) {
			r.Status, r.RequiresReview, r.Version, r.ProcessedAt = StatusCompleted, false, 4, at(4)
		})},
		{"rejected", &flaggedRow, Rejected{}, 3, with(flaggedRow, func(r *Summary) {
			r.Status, r.RequiresReview, r.Version, r.ProcessedAt = StatusRejected, false, 3, at(3)
		})},
	} {
		before := c.given
		if before != nil {
			own := *before
			before = &own
		}
		got, err := evolveSummary(c.given, c.when, from("payment."+c.name, c.version))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.then, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(before, c.given); diff != "" {
			t.Errorf("%s changed the row it was given:\n%s", c.name, diff)
		}
	}
}

func TestWhatCannotHaveHappenedIsNotGuessed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		exists bool
		event  Event
	}{{false, Processed{}}, {false, Rejected{}}, {true, Initiated{}}} {
		var row *Summary
		var payment *Payment
		if c.exists {
			row, payment = new(Summary), new(Payment)
		}
		if _, err := evolveSummary(row, c.event, from("event", 1)); err == nil {
			t.Errorf("the view takes %T when the payment exists is %t", c.event, c.exists)
		}
		if _, err := evolve(payment, c.event, from("event", 1)); err == nil {
			t.Errorf("the write model takes %T when the payment exists is %t", c.event, c.exists)
		}
	}
}

func TestACustomersNameIsTheLastOne(t *testing.T) {
	t.Parallel()
	type happens struct{ name, payload, want string }
	var row *Customer
	for i, h := range []happens{
		{"user.created", `{"name":"Ada","email":"ada@example.com"}`, "Ada"},
		{"user.updated", `{"email":"ada@example.org"}`, "Ada"},
		{"user.updated", `{"name":"Ada King"}`, "Ada King"},
		{"user.celebrated", `{"unknown":["to","us"]}`, "Ada King"},
		{"user.deleted", `{"reason":"asked for it"}`, ""},
		{"user.reverted", `{"name":"Ada","email":"ada@example.com"}`, "Ada"},
	} {
		var fact userFact
		if err := json.Unmarshal([]byte(h.payload), &fact); err != nil {
			t.Fatal(err)
		}
		e := from(h.name, i+1)
		e.AggregateID = ada
		next, err := evolveCustomer(row, fact, e)
		if err != nil {
			t.Fatal(err)
		}
		if h.want == "" && next != nil || h.want != "" && (next == nil || *next != Customer{ID: ada, Name: h.want, Version: i + 1}) {
			t.Errorf("after %s: %+v, want the name %q", h.name, next, h.want)
		}
		row = next
	}
}
