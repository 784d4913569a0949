package app

import (
	"context"

	"onepg/internal/auth"
	"onepg/internal/config"
)

// protect makes the guard that the configuration asks for.
func (a *App) protect(ctx context.Context) (*auth.Guard, error) {
	c := a.options.Config
	o := auth.Options{Rate: c.Access.Rate, Burst: c.Access.Burst, TrustedProxies: c.Access.Proxies, Origins: c.Access.Origins, Clock: now}
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
