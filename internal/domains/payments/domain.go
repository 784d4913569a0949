// Package payments is the domain of payments: commands decide what happens,
// by rules, from the payment's own history. Clients cannot record its events.
//
// It is the model for a domain with rules; users is the one for a domain
// without.
//
//	initiated ──> completed                     the rules let it through
//	    │  └────> failed                        the method cannot carry the amount
//	    └───────> pending_review ──> completed  high risk and a large amount: a person approves,
//	                      │  └─────> failed     approves what is over the limit all the same,
//	                      └────────> rejected   or rejects
//
//	events.go                         what can happen to a payment
//	state.go                          the write model and its fold
//	process.go approve.go reject.go   the commands, one each: pure decisions
//	policy.go risk.go money.go        what they decide with
//	upcast.go                         how old events become new ones
//	summary.go customer.go            the views and their folds
//	past.go                           what they were
//	repository.go                     how the views are read (the only file with SQL)
//	commands.go routes.go             how it is served (the only files with HTTP)
//	domain.go                         this manifest
package payments

import (
	"context"

	"onepg/internal/aggregator"
	"onepg/internal/domains"
	"onepg/internal/eventsourcing"
	"onepg/internal/httpapi"
)

// revision counts the versions of the write model's fold; see
// eventsourcing.NewDecider.
const revision = 1

// New gives the constructor of the domain under a policy. What is wrong with
// the policy is the domain's Err.
func New(p Policy) domains.Constructor {
	return func(deps domains.Deps) domains.Domain {
		d := domains.Domain{
			Name:   "payments",
			Events: events(),
			Views: []aggregator.View{
				aggregator.Define[Summary, Event](summaries, "payment", evolveSummary),
				aggregator.Foreign[Customer, userFact](customers, "user", evolveCustomer),
			},
		}
		rules, err := newRules(p)
		if err != nil {
			d.Err = err
			return d
		}
		decider, err := eventsourcing.NewDecider(events(), evolve, revision)
		if err != nil {
			d.Err = err
			return d
		}
		d.Models = []eventsourcing.Model{decider.Model()}
		payments := newRepository(deps.DB)
		d.Stream = domains.StreamOf(summaries, payments.withIDs)
		q := queries{payments: payments, past: newPast(deps.Past), waitVersion: deps.WaitVersion}
		c := commands{
			handler: eventsourcing.NewHandler(deps.Commands, decider),
			rules:   rules,
			risk:    Scorecard{rules: rules, recent: payments.recent},
			wait: func(ctx context.Context, events []eventsourcing.Receipt) bool {
				return deps.Wait(ctx, []string{summaries}, events)
			},
		}
		d.Routes = func(g *httpapi.Group) { q.register(g); c.register(g) }
		return d
	}
}
