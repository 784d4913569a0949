package payments

import (
	"context"
	"time"

	"onepg/internal/domains"
	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

// queries serves the views, and the past that no view keeps.
type queries struct {
	payments    repository
	past        past
	waitVersion domains.WaitVersion
}

func (q queries) register(g *httpapi.Group) {
	httpapi.Get(g, httpapi.Operation{
		Path: "", ID: "list-payments", Scope: "payments:read", Summary: "List payments, newest first",
		Description: "One page of the view, by the time of initiation. With as_of the list as it was at that time, in the order of ids.",
	}, q.list)
	httpapi.Get(g, httpapi.Operation{
		Path: "/{payment_id}", ID: "get-payment", Scope: "payments:read", Summary: "One payment",
		Description: "With min_version and Prefer: wait=N the answer waits until the view shows that version. " +
			"After a command nobody needs this: its answer has the state already. " +
			"With version or as_of the payment as it was then, from the events alone, with the name its customer had.",
		Problems: []httpapi.Refusal{{Kind: fault.NotFound, Code: "not-found"}, {Kind: fault.Timeout, Code: "view-behind"}},
	}, q.one)
	httpapi.Get(g, httpapi.Operation{
		Path: "/{payment_id}/history", ID: "list-payment-history", Scope: "payments:read", Summary: "What happened to a payment, and when",
		Description: "The payment's events, newest first, each with its changes.",
		Problems:    []httpapi.Refusal{{Kind: fault.NotFound, Code: "not-found"}},
	}, q.history)
	httpapi.Get(g, httpapi.Operation{
		Path: "/statistics/daily", ID: "get-daily-payment-statistics", Scope: "payments:read",
		Summary:     "The payments of one day, in numbers",
		Description: "A payment belongs to the day, in UTC, on which it came to the status it has now.",
	}, q.day)
}

type listInput struct {
	httpapi.Paging
	httpapi.AsOf

	CustomerID httpapi.ID `query:"customer_id" doc:"Only payments of this customer."`
	Status     Status     `query:"status" enum:"initiated,completed,failed,pending_review,rejected" doc:"Only payments that stand so now."`
	From       time.Time  `query:"from" doc:"Only payments initiated at this time or later (RFC 3339)."`
	To         time.Time  `query:"to" doc:"Only payments initiated before this time (RFC 3339)."`
}

func (q queries) list(ctx context.Context, in *listInput) (*httpapi.Listing[*Listed], error) {
	if in.Given() {
		return httpapi.ReadListPast(ctx, q.past, &in.AsOf, &in.Paging)
	}
	f := filter{customerID: in.CustomerID.UUID, status: in.Status, from: storable(in.From), before: storable(in.To), limit: int64(in.Limit) + 1}
	if after := in.After(); after != nil {
		at, err := after.Time()
		if err != nil {
			return nil, err
		}
		if f.before.IsZero() || at.Before(f.before) {
			f.before, f.beforeID = at, after.ID
		}
	}
	rows, err := q.payments.list(ctx, f)
	if err != nil {
		return nil, err
	}
	return httpapi.NewListing(&in.Paging, rows, func(p *Listed) httpapi.Cursor {
		return httpapi.Cursor{Key: p.InitiatedAt.String(), ID: p.ID}
	}), nil
}

// storable is a bound that PostgreSQL can hold, which has no year 0. No payment
// lies between the two.
func storable(bound time.Time) time.Time {
	if first := (time.Time{}).Add(time.Microsecond); !bound.IsZero() && bound.Before(first) {
		return first
	}
	return bound
}

type oneInput struct {
	httpapi.Conditional
	httpapi.Waiting
	httpapi.When

	ID         httpapi.ID `path:"payment_id" doc:"The payment's id."`
	MinVersion int        `query:"min_version" minimum:"1" doc:"Answer only when the view shows this version or a later one."`
}

func (q queries) one(ctx context.Context, in *oneInput) (*httpapi.Versioned[*Listed], error) {
	if in.Given() {
		return httpapi.ReadPast(ctx, q.past, in.ID, &in.When, &in.Conditional)
	}
	var payment *Listed
	applied, err := in.AwaitVersion(ctx, in.MinVersion, func(ctx context.Context) (bool, error) {
		_, shown, err := q.waitVersion(ctx, summaries, in.ID.UUID, in.MinVersion, func(ctx context.Context) (bool, error) {
			row, _, err := q.payments.row(ctx, in.ID.UUID)
			if err != nil || row == nil || row.Version < in.MinVersion {
				return false, err
			}
			payment = row
			return true, nil
		})
		return shown, err // the customer's name is not in the view's row
	})
	if err == nil && payment == nil {
		payment, _, err = q.payments.row(ctx, in.ID.UUID)
	}
	if err != nil {
		return nil, err
	}
	if payment == nil {
		return nil, fault.New(fault.NotFound, "not-found", "There is no payment "+in.ID.String()+".")
	}
	out := httpapi.NewVersioned(&in.Conditional, payment.Version, payment)
	out.PreferenceApplied = applied
	return out, nil
}

type historyInput struct {
	httpapi.Paging

	ID httpapi.ID `path:"payment_id" doc:"The payment's id."`
}

func (q queries) history(ctx context.Context, in *historyInput) (*httpapi.Listing[httpapi.Revision], error) {
	return httpapi.ReadHistory(ctx, q.past, in.ID, &in.Paging)
}

type dayInput struct {
	Date string `query:"date" required:"true" format:"date" example:"2026-11-21" doc:"The day, from midnight to midnight UTC."`
}

// dayOutput is a day in numbers: counts over all currencies, sums of each.
type dayOutput struct {
	Body struct {
		Date              string           `json:"date" format:"date"`
		TotalTransactions int              `json:"total_transactions" doc:"Payments of the day, whatever became of them."`
		FailedCount       int              `json:"failed_count"`
		ReviewCount       int              `json:"review_count" doc:"Of these, waiting for review."`
		Currencies        []currencyOfADay `json:"currencies" nullable:"false" doc:"Amounts of different currencies are not added up."`
	}
}

type currencyOfADay struct {
	Currency          string `json:"currency"`
	TotalTransactions int    `json:"total_transactions"`
	FailedCount       int    `json:"failed_count"`
	ReviewCount       int    `json:"review_count"`
	TotalVolume       Money  `json:"total_volume" doc:"The sum of all payments counted, whatever became of them."`
	CompletedVolume   Money  `json:"completed_volume" doc:"The sum of those that are completed."`
	AverageAmount     Money  `json:"average_amount" doc:"Of all payments counted, rounded to the currency's digits, halves up."`
}

func (q queries) day(ctx context.Context, in *dayInput) (*dayOutput, error) {
	date, err := time.Parse(time.DateOnly, in.Date)
	if err != nil || date.Year() < 1 {
		return nil, httpapi.BadParameter("date", "expected a day like 2026-11-21")
	}
	days, err := q.payments.day(ctx, date)
	if err != nil {
		return nil, err
	}
	out := new(dayOutput)
	out.Body.Date, out.Body.Currencies = in.Date, []currencyOfADay{}
	for _, d := range days {
		c := currencyOfADay{Currency: d.Currency, TotalTransactions: d.Payments, FailedCount: d.Failed, ReviewCount: d.Reviews}
		for _, sum := range []struct {
			to    *Money
			value string
		}{{&c.TotalVolume, d.Total}, {&c.CompletedVolume, d.Completed}, {&c.AverageAmount, d.Average}} {
			if *sum.to, err = money(sum.value, d.Currency); err != nil {
				return nil, err
			}
		}
		out.Body.TotalTransactions += d.Payments
		out.Body.FailedCount += d.Failed
		out.Body.ReviewCount += d.Reviews
		out.Body.Currencies = append(out.Body.Currencies, c)
	}
	return out, nil
}
