package bench

import (
	"context"
	"fmt"
	"net/http"
)

// paymentsOfOne is how many payments each customer has while lists are measured.
const paymentsOfOne = 20

// payments is how many rows the list of payments selects from.
func (o Options) payments() int {
	const million = 1_000_000
	return min(million, max(paymentsOfOne, o.Stored))
}

// prepareList measures pages of lists: the payments of a customer, compared with
// the same query by pgbench, and users.
func prepareList(ctx context.Context, s *stage) ([]subject, error) {
	program, err := s.programWithUsers(ctx, "list", s.options.users())
	if err != nil {
		return nil, err
	}
	if err := program.fillSummaries(ctx, s.options.payments()); err != nil {
		return nil, err
	}
	const clients, page = 32, "page of payments"
	customers := s.options.payments() / paymentsOfOne
	order := func(path string) load {
		request, marks := newRequest(http.MethodGet, path, "", customers)
		return load{Connections: clients, Request: request, Marks: marks, Status: http.StatusOK}
	}
	reading := func(path string) func(context.Context) (sample, error) { return s.requesting(program, order(path)) }
	ofCustomer := "/v1/payments?customer_id=" + storedCustomerID + keyMark
	// Clients that ask again at once measure the longest queue. What a page takes
	// otherwise is measured at a rate.
	steady := order(ofCustomer)
	steady.Rate = 3000
	subjects := []subject{{
		name: "list payments", what: fmt.Sprintf("GET /v1/payments?customer_id=…, %d of %s, %d clients",
			paymentsOfOne, number(float64(s.options.payments())), clients), unit: perSecond,
		checks: []check{latencyAt(p99).most(10), versus(page)},
		run:    reading(ofCustomer),
	}, {
		name: "list payments, steady", what: fmt.Sprintf("the same at %s requests/s", number(steady.Rate)), unit: millis,
		checks: []check{pacing().least(0.95), latencyAt(p99).most(10)},
		run:    s.steadily(program, steady),
	}, {
		name: "list", what: "GET /v1/users, 50 rows, 32 clients", unit: perSecond, run: reading("/v1/users"),
	}, {
		name: "list by e-mail", what: "GET /v1/users?email=…&limit=1, 32 clients", unit: perSecond,
		run: reading("/v1/users?email=ada@example.com&limit=1"),
	}}
	if tool, ok := s.findPgbench(ctx); ok {
		query := script{text: fmt.Sprintf(`\set customer random(1, %d)
SELECT p.*, c.name FROM payment_summaries p LEFT JOIN payment_customers c ON c.id = p.customer_id
 WHERE p.customer_id = ('%s' || lpad(:customer::text, 8, '0'))::uuid ORDER BY p.initiated_at DESC, p.payment_id DESC LIMIT 51;
`, customers, storedCustomerID), clients: clients, each: 1}
		subjects = append(subjects, subject{
			name: page, what: "pgbench, the same query of payments, 32 clients", unit: perSecond, run: tool.running(s, program.db, query),
		})
	}
	return subjects, nil
}

// fillSummaries writes rows to the view of payments, and the names of their
// customers. Why not events: only the rows are read here.
func (s *server) fillSummaries(ctx context.Context, payments int) error {
	for _, query := range []string{
		`INSERT INTO payment_customers (id, name, version)
		 SELECT (?1 || lpad(c::text, 8, '0'))::uuid, 'Ada Lovelace', 1 FROM generate_series(1, ?2 / ?3) c`,
		`INSERT INTO payment_summaries (payment_id, customer_id, amount, currency, method, status, risk_score, requires_review,
		        version, initiated_at, processed_at)
		 SELECT (?0 || lpad(p::text, 8, '0'))::uuid, (?1 || lpad((1 + p % (?2 / ?3))::text, 8, '0'))::uuid, 100.00, 'USD',
		        'credit_card', 'completed', 10, false, 2, t, t
		   FROM generate_series(1, ?2) p, LATERAL (SELECT timestamptz '2026-01-01Z' + p * interval '1 second' AS t) times`,
		"VACUUM ANALYZE payment_customers, payment_summaries",
	} {
		if _, err := s.db.NewRaw(query, storedPaymentID, storedCustomerID, payments, paymentsOfOne).Exec(ctx); err != nil {
			return fmt.Errorf("write %d payments: %w", payments, err)
		}
	}
	return nil
}
