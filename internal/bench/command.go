package bench

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"onepg/internal/pause"
)

// What the commands are about. Payments that are there already have numbers for
// ids, new ones have new ids.
const (
	storedPaymentID  = "00000000-0000-7000-8002-0000"
	storedCustomerID = "00000000-0000-7000-8003-0000"
	// snapshotLength is how long a history has to be for a snapshot to be taken.
	snapshotLength = 100
)

// paymentsEach is how many payments of a length are processed in a round. A
// payment can be processed once, so each round needs new ones.
func (o Options) paymentsEach() int {
	const enough = 200 // fewer than the snapshots that may wait to be written
	return min(enough, max(1, o.Stored/100))
}

// prepareCommand measures commands: load, decide, append. On a payment that does
// not exist yet, and on one with a history, which costs what there is to load.
func prepareCommand(ctx context.Context, s *stage) ([]subject, error) {
	program, err := s.program(ctx, "command")
	if err != nil {
		return nil, err
	}
	const clients, few, alone = 64, 8, "command, few clients"
	subjects := []subject{{
		name: "command", what: fmt.Sprintf("process a new payment, %d clients", clients), unit: perSecond,
		checks: []check{value().least(2500), versus("insert beside command")},
		run:    s.requesting(program, paying(clients, freshID, freshID)),
	}, {
		name: alone, what: fmt.Sprintf("the same, %d clients", few), unit: millis,
		run: medianOf(s.requesting(program, paying(few, freshID, freshID))),
	}}
	h := &histories{stage: s, program: program}
	for _, length := range []int{10, 100, 1000} {
		subjects = append(subjects, subject{
			name: fmt.Sprintf("command/%d", length), what: fmt.Sprintf("process a payment with %d events, %d clients", length, few),
			unit: millis, checks: []check{versus(alone)}, run: medianOf(h.processing(few, length)),
		})
	}
	return s.withInsert(ctx, subjects, "insert beside command")
}

// paying is the order to process payments.
func paying(clients int, payment, customer string) load {
	request, marks := newRequest(http.MethodPost, "/v1/payments/"+payment+"/process",
		`{"customer_id":"`+customer+`","amount":{"value":"100.00","currency":"USD"},"method":"credit_card"}`, noLimit,
		"Idempotency-Key: "+freshID)
	return load{Connections: clients, Request: request, Marks: marks, Status: http.StatusOK}
}

// histories is the suite's state between rounds.
type histories struct {
	*stage

	program *server
	stored  int // payments that were made so far
}

// processing makes payments with so many events each and processes every one of
// them once.
func (h *histories) processing(clients, length int) func(context.Context) (sample, error) {
	return func(ctx context.Context) (sample, error) {
		first := h.stored
		h.stored += h.options.paymentsEach()
		if err := h.program.fillPayments(ctx, first, h.stored, length); err != nil {
			return sample{}, err
		}
		if length >= snapshotLength {
			if err := h.remember(ctx, first); err != nil {
				return sample{}, err
			}
		}
		if err := h.program.settle(ctx); err != nil {
			return sample{}, err
		}
		order := paying(clients, storedPaymentID+keyMark, storedCustomerID+keyMark)
		order.First, order.Count = first, h.options.paymentsEach()
		return h.requesting(h.program, order)(ctx)
	}
}

// remember lets the program take snapshots of the payments that follow first, as
// it would have while their histories grew: by a command that is refused.
func (h *histories) remember(ctx context.Context, first int) error {
	count := h.options.paymentsEach()
	request, marks := newRequest(http.MethodPost, "/v1/payments/"+storedPaymentID+keyMark+"/approve", "{}", noLimit, "Idempotency-Key: "+freshID)
	refused := load{Connections: 1, Request: request, Marks: marks, Status: http.StatusConflict, First: first, Count: count}
	if _, _, err := h.send(h.program, refused); err != nil {
		return err
	}
	const patience, interval = 30 * time.Second, 10 * time.Millisecond
	for deadline := now().Add(patience); now().Before(deadline); pause.For(ctx, interval) {
		var taken int
		err := h.program.db.QueryRowContext(ctx, "SELECT count(*) FROM snapshots WHERE aggregate_id > ? AND aggregate_id <= ?",
			fmt.Sprintf("%s%08d", storedPaymentID, first), fmt.Sprintf("%s%08d", storedPaymentID, first+count)).Scan(&taken)
		if err != nil || taken == count {
			return wrap(err, "count the snapshots")
		}
	}
	return fmt.Errorf("the program took no snapshots in %s", patience)
}

// fillPayments appends the events of payments first+1 to last, without HTTP. A
// payment begins with payment.initiated. Then come approvals, which leave it as it is.
func (s *server) fillPayments(ctx context.Context, first, last, length int) error {
	const events = 5000 // in one statement; more round trips would not count
	each := `ARRAY(SELECT %s FROM generate_series(?0, ?1) p, generate_series(1, ?2) v ORDER BY p, v)`
	query := "SELECT count(*) FROM append_events(" + strings.Join([]string{
		fmt.Sprintf(each, `('00000000-' || lpad(v::text, 4, '0') || '-7000-8004-0000' || lpad(p::text, 8, '0'))::uuid`),
		fmt.Sprintf(each, `(?3 || lpad(p::text, 8, '0'))::uuid`),
		fmt.Sprintf(each, `CASE v WHEN 1 THEN 'payment.initiated' ELSE 'payment.approved' END`),
		fmt.Sprintf(each, `CASE v WHEN 1 THEN json_build_object('payment_id', ?3 || lpad(p::text, 8, '0'), 'customer_id', ?4 || lpad(p::text, 8, '0'),
			'amount', json_build_object('value', '100.00', 'currency', 'USD'), 'method', 'credit_card')
			ELSE json_build_object('payment_id', ?3 || lpad(p::text, 8, '0')) END`),
	}, ", ") + ")"
	chunk := max(1, events/length)
	for from := first + 1; from <= last; from += chunk {
		_, err := s.db.ExecContext(ctx, query, from, min(from+chunk-1, last), length, storedPaymentID, storedCustomerID)
		if err != nil {
			return fmt.Errorf("append the events of payments up to %d: %w", last, err)
		}
	}
	return nil
}
