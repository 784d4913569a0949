package cmd

import (
	"onepg/internal/config"
	"onepg/internal/domains"
	"onepg/internal/domains/payments"
	"onepg/internal/domains/users"
)

// constructors lists the domains that the program consists of. A new one is a
// folder in internal/domains, a migration for its view, and its New here.
func constructors(c *config.Config) []domains.Constructor {
	return []domains.Constructor{users.New, payments.New(payments.Policy(c.Payments))}
}
