package app

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"onepg/internal/auth"
	"onepg/internal/config"
	"onepg/internal/domains"
	"onepg/internal/httpapi"
)

// Spec gives the OpenAPI document that the program with these options serves at
// /openapi.json, to the byte. It needs no database and no logger, and serves
// nothing.
func Spec(o Options) ([]byte, error) {
	api, err := declare(o)
	if err != nil {
		return nil, err
	}
	return api.Spec()
}

// Scopes lists every scope that a route of the domains or of the program itself
// asks for, without a database.
func Scopes(constructors []domains.Constructor) (auth.Scopes, error) {
	api, err := declare(Options{Config: new(config.Config), Domains: constructors})
	if err != nil {
		return nil, err
	}
	var scopes auth.Scopes
	for _, route := range api.Routes() {
		if route.Scope != httpapi.Public {
			scopes = append(scopes, string(route.Scope))
		}
	}
	return scopes.Sorted(), nil
}

// declare makes the routes of the program with these options, to be looked at and
// not served.
func declare(o Options) (*httpapi.API, error) {
	a := &App{options: o, logger: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry()}
	parts, err := a.assemble()
	if err != nil {
		return nil, err
	}
	a.listen()
	if err := a.routes(parts); err != nil {
		return nil, fmt.Errorf("declare the routes: %w", err)
	}
	return a.api, nil
}
