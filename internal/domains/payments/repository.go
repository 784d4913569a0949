package payments

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bojanz/currency"
	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/domains"
)

// repository reads the views.
type repository struct {
	db *bun.DB
	// row gives a payment's row, and newest the first page of a customer's. Both
	// gather: with 32 clients a page of 20 takes PostgreSQL and the program 0.3 ms of
	// a processor, and 0.53 with a query of its own.
	row    func(ctx context.Context, id uuid.UUID) (payment *Listed, found bool, err error)
	newest func(ctx context.Context, of firstPage) (page []*Listed, found bool, err error)
}

func newRepository(db *bun.DB) repository {
	const (
		mostRows  = 1000
		mostPages = 32 // of up to 501 rows
	)
	r := repository{db: db}
	r.row = domains.Gather(mostRows, r.withIDs)
	r.newest = domains.Gather(mostPages, r.firstPages)
	return r
}

// Listed is a payment as it is read: the row, and the customer's name.
type Listed struct {
	bun.BaseModel `bun:"table:payment_summaries,alias:p" json:"-"`

	Summary

	CustomerName *string `json:"customer_name" required:"true" doc:"null while no such user is known" bun:"customer_name,scanonly"`
}

// SchemaName is what clients know the type as: to them it is the payment.
func (Listed) SchemaName() string { return "Payment" }

// withIDs gives those of the payments that exist. Why LATERAL and LIMIT: it makes
// PostgreSQL look each id up, however many there are.
func (r repository) withIDs(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*Listed, error) {
	var rows []*Listed
	err := r.db.NewRaw(`SELECT p.*, c.name AS customer_name FROM unnest(?::uuid[]) AS i (id)
	 CROSS JOIN LATERAL (SELECT * FROM payment_summaries s WHERE s.payment_id = i.id LIMIT 1) AS p
	  LEFT JOIN payment_customers AS c ON c.id = p.customer_id`, pgdialect.Array(ids)).Scan(ctx, &rows)
	if err != nil {
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
	from       time.Time // initiated at this or after it
	before     time.Time // initiated before this, or at it with a smaller id
	beforeID   uuid.UUID
	limit      int64
}

// firstPage is the newest payments of a customer, at most limit.
type firstPage struct {
	customerID uuid.UUID
	limit      int64
}

// list gives the payments of the filter. Each way to select has its index in
// the order of the list, so a page costs the same wherever it is.
//
// Why only first pages are gathered: they are what is mostly read, and a condition
// more would make the query of all of them dearer.
func (r repository) list(ctx context.Context, f filter) ([]*Listed, error) {
	if f.customerID != uuid.Nil && f == (filter{customerID: f.customerID, limit: f.limit}) {
		page, _, err := r.newest(ctx, firstPage{f.customerID, f.limit})
		return page, err
	}
	var rows []*Listed
	q := r.db.NewSelect().Model(&rows).ColumnExpr("p.*, c.name AS customer_name").
		Join("LEFT JOIN payment_customers AS c ON c.id = p.customer_id").
		OrderExpr("p.initiated_at DESC, p.payment_id DESC").Limit(f.limit)
	if f.customerID != uuid.Nil {
		q = q.Where("p.customer_id = ?", f.customerID)
	}
	if f.status != "" {
		q = q.Where("p.status = ?", f.status)
	}
	if !f.from.IsZero() {
		q = q.Where("p.initiated_at >= ?", f.from)
	}
	if !f.before.IsZero() {
		q = q.Where("(p.initiated_at, p.payment_id) < (?, ?)", f.before, f.beforeID)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list payments: %w", err)
	}
	return rows, nil
}

// firstPages gives each of the pages.
func (r repository) firstPages(ctx context.Context, of []firstPage) (map[firstPage][]*Listed, error) {
	customers, limits := make([]uuid.UUID, len(of)), make([]int64, len(of))
	for i, p := range of {
		customers[i], limits[i] = p.customerID, p.limit
	}
	var rows []struct {
		Listed

		Of int `bun:"of"`
	}
	err := r.db.NewRaw(`SELECT p.*, c.name AS customer_name, f.of
	   FROM unnest(?::uuid[], ?::bigint[]) WITH ORDINALITY AS f (customer_id, most, of)
	   LEFT JOIN payment_customers AS c ON c.id = f.customer_id
	  CROSS JOIN LATERAL (SELECT * FROM payment_summaries s WHERE s.customer_id = f.customer_id
	         ORDER BY s.initiated_at DESC, s.payment_id DESC LIMIT f.most) AS p`,
		pgdialect.Array(customers), pgdialect.Array(limits)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list payments of %d customers: %w", len(of), err)
	}
	inOrder := make([][]*Listed, len(of))
	for i := range rows {
		at := rows[i].Of - 1
		inOrder[at] = append(inOrder[at], &rows[i].Listed)
	}
	pages := make(map[firstPage][]*Listed, len(of))
	for i, p := range of {
		// Why here: PostgreSQL gives them in this order already but need not, and
		// takes an eighth longer when it is told to.
		slices.SortFunc(inOrder[i], newestFirst)
		pages[p] = inOrder[i]
	}
	return pages, nil
}

// newestFirst is the order of the list.
func newestFirst(a, b *Listed) int {
	return cmp.Or(b.InitiatedAt.Compare(a.InitiatedAt.Time), bytes.Compare(b.ID[:], a.ID[:]))
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
