package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/bojanz/currency"
	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// repository reads the views.
type repository struct{ db *bun.DB }

// Listed is a payment as it is read: the row, and the customer's name.
type Listed struct {
	bun.BaseModel `bun:"table:payment_summaries,alias:p" json:"-"`

	Summary

	CustomerName *string `json:"customer_name" required:"true" doc:"null while no such user is known" bun:"customer_name,scanonly"`
}

// SchemaName is what clients know the type as: to them it is the payment.
func (Listed) SchemaName() string { return "Payment" }

// selectListed begins a query for payments with their customers' names.
func (r repository) selectListed(into any) *bun.SelectQuery {
	return r.db.NewSelect().Model(into).ColumnExpr("p.*, c.name AS customer_name").
		Join("LEFT JOIN payment_customers AS c ON c.id = p.customer_id")
}

// find gives the payment, or nil.
func (r repository) find(ctx context.Context, id uuid.UUID) (*Listed, error) {
	payment := new(Listed)
	err := r.selectListed(payment).Where("p.payment_id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // no payment is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("find payment %s: %w", id, err)
	}
	return payment, nil
}

// withIDs gives those of the payments that exist.
func (r repository) withIDs(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*Listed, error) {
	var rows []*Listed
	if err := r.selectListed(&rows).Where("p.payment_id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("read %d payments: %w", len(ids), err)
	}
	payments := make(map[uuid.UUID]*Listed, len(rows))
	for _, p := range rows {
		payments[p.ID] = p
	}
	return payments, nil
}

// filter selects a part of the list: at most limit payments, newest first. The
// zero value of a field is no condition.
type filter struct {
	customerID uuid.UUID
	status     Status
	from, to   time.Time // initiated at or after from, and before to
	after      time.Time // initiated before this, or at it with a smaller id
	afterID    uuid.UUID
	limit      int64
}

// list gives the payments of the filter. Each way to select has its index in
// the order of the list, so a page costs the same wherever it is.
func (r repository) list(ctx context.Context, f filter) ([]*Listed, error) {
	var rows []*Listed
	q := r.selectListed(&rows).OrderExpr("p.initiated_at DESC, p.payment_id DESC").Limit(f.limit)
	if f.customerID != uuid.Nil {
		q = q.Where("p.customer_id = ?", f.customerID)
	}
	if f.status != "" {
		q = q.Where("p.status = ?", f.status)
	}
	if !f.from.IsZero() {
		q = q.Where("p.initiated_at >= ?", f.from)
	}
	if !f.to.IsZero() {
		q = q.Where("p.initiated_at < ?", f.to)
	}
	if !f.after.IsZero() {
		q = q.Where("(p.initiated_at, p.payment_id) < (?, ?)", f.after, f.afterID)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list payments: %w", err)
	}
	return rows, nil
}

// dayOfCurrency is what happened on a day in one currency.
type dayOfCurrency struct {
	Currency  string `bun:"currency"`
	Payments  int    `bun:"payments"`
	Failed    int    `bun:"failed"`
	Reviews   int    `bun:"reviews"`
	Total     string `bun:"total"`
	Average   string `bun:"average"`
	Completed string `bun:"completed"`
}

// day adds up the payments that came to their status on the day, which begins
// at midnight UTC.
func (r repository) day(ctx context.Context, date time.Time) ([]dayOfCurrency, error) {
	var days []dayOfCurrency
	err := r.db.NewRaw(`SELECT currency, count(*) AS payments,
	        count(*) FILTER (WHERE status = ?) AS failed,
	        count(*) FILTER (WHERE requires_review) AS reviews,
	        sum(amount) AS total, avg(amount) AS average,
	        coalesce(sum(amount) FILTER (WHERE status = ?), 0) AS completed
	   FROM payment_summaries
	  WHERE processed_at >= ? AND processed_at < ?
	  GROUP BY currency ORDER BY currency`,
		StatusFailed, StatusCompleted, date, date.AddDate(0, 0, 1)).Scan(ctx, &days)
	if err != nil {
		return nil, fmt.Errorf("add up the payments of %s: %w", date.Format(time.DateOnly), err)
	}
	return days, nil
}

// recentPayments is how many of a customer's last payments are looked at.
const recentPayments = 100

// recent tells what a customer has done lately, from the index of the list.
func (r repository) recent(ctx context.Context, customerID uuid.UUID, window time.Duration) (Recent, error) {
	var recent Recent
	err := r.db.NewRaw(`SELECT coalesce(bool_or(status = ?), false) AS known,
	        count(*) FILTER (WHERE fresh) AS payments,
	        count(*) FILTER (WHERE fresh AND status IN (?, ?)) AS troubles
	   FROM (SELECT status, initiated_at > clock_timestamp() - ? * interval '1 second' AS fresh
	           FROM payment_summaries WHERE customer_id = ?
	          ORDER BY initiated_at DESC, payment_id DESC LIMIT ?) AS last`,
		StatusCompleted, StatusFailed, StatusRejected, window.Seconds(), customerID, recentPayments).Scan(ctx, &recent)
	if err != nil {
		return Recent{}, fmt.Errorf("look at the payments of customer %s: %w", customerID, err)
	}
	return recent, nil
}

// money reads a sum as PostgreSQL writes it.
func money(value, code string) (Money, error) {
	amount, err := currency.NewAmount(value, code)
	if err != nil {
		return Money{}, fmt.Errorf("read %s %s from the view: %w", value, code, err)
	}
	return moneyOf(amount), nil
}
