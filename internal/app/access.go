package app

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"onepg/internal/auth"
	"onepg/internal/config"
	"onepg/internal/domains"
	"onepg/internal/httpapi"
	"onepg/internal/listener"
)

// protect makes the guard that the configuration asks for.
func (a *App) protect(ctx context.Context) (*auth.Guard, error) {
	c := a.options.Config
	o := auth.Options{Rate: c.Access.Rate, Burst: c.Access.Burst, TrustedProxies: c.Access.Proxies, Clock: now}
	switch c.Auth {
	case config.AuthNone:
	case config.AuthKeys:
		o.Verifier = auth.NewKeys(a.pools.reader, a.logger)
	case config.AuthTokens:
		tokens, err := auth.NewTokens(ctx, auth.TokenOptions{
			KeySet: c.Tokens.KeySet, Issuer: c.Tokens.Issuer, Audience: c.Tokens.Audience,
			ScopeClaim: c.Tokens.ScopeClaim, Clock: now, Logger: a.logger,
		})
		if err != nil {
			return nil, err
		}
		o.Verifier = tokens
	}
	return auth.New(o), nil
}

// Scopes lists every scope that a route of the domains or of the program itself
// asks for, without a database.
func Scopes(constructors []domains.Constructor) (auth.Scopes, error) {
	a := &App{
		options: Options{Config: new(config.Config), Domains: constructors},
		logger:  slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry(),
		listener: listener.New(listener.Options{}),
	}
	parts, err := a.assemble()
	if err != nil {
		return nil, err
	}
	if err := a.routes(parts); err != nil {
		return nil, err
	}
	var scopes auth.Scopes
	for _, route := range a.api.Routes() {
		if route.Scope != httpapi.Public {
			scopes = append(scopes, string(route.Scope))
		}
	}
	return scopes.Sorted(), nil
}
