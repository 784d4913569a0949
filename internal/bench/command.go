package bench

import (
	"context"
	"net/http"
)

// prepareCommand measures a command on an aggregate that does not exist yet: load,
// decide, append two events. Customers and keys are new each time.
func prepareCommand(ctx context.Context, s *stage) ([]subject, error) {
	program, err := s.program(ctx, "command")
	if err != nil {
		return nil, err
	}
	request, marks := newRequest(http.MethodPost, "/v1/payments/"+freshID+"/process",
		`{"customer_id":"`+freshID+`","amount":{"value":"100.00","currency":"USD"},"method":"credit_card"}`, 0,
		"Idempotency-Key: "+freshID)
	const clients = 64
	order := load{Connections: clients, Request: request, Marks: marks, Status: http.StatusOK}
	return []subject{{
		name: "command", what: "process a new payment, 64 clients", unit: perSecond,
		checks: []check{value().least(2500)}, run: s.requesting(program, order),
	}}, nil
}
