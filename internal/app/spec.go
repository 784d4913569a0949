package app

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// Spec gives the OpenAPI document that the program with these options serves at
// /openapi.json, to the byte. It needs no database and no logger, and serves
// nothing.
func Spec(o Options) ([]byte, error) {
	a := &App{options: o, logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	parts, err := a.assemble()
	if err != nil {
		return nil, err
	}
	a.listen()
	if err := a.routes(parts); err != nil {
		return nil, fmt.Errorf("declare the routes: %w", err)
	}
	return a.api.Spec()
}
