package cmd

import (
	"testing"

	"github.com/spf13/pflag"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/config"
	"onepg/internal/domains"
	"onepg/internal/eventsourcing"
)

// Every view of the program obeys the laws of views, with the events of its
// aggregate, whichever domain defines them.
func TestEveryViewObeysTheLaws(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("app", pflag.ContinueOnError)
	config.Flags(flags)
	settings, err := config.Load(flags)
	if err != nil {
		t.Fatal(err)
	}
	var views []aggregator.View
	events := map[string][]eventsourcing.EventType{}
	for _, construct := range constructors(settings) {
		domain := construct(domains.Deps{})
		views = append(views, domain.Views...)
		for _, e := range domain.Events {
			events[e.Aggregate()] = append(events[e.Aggregate()], e)
		}
	}
	for _, view := range views {
		t.Run(view.Name, func(t *testing.T) {
			t.Parallel()
			aggregatortest.Laws(t, aggregatortest.Subject{View: view, Events: events[view.Aggregate]})
		})
	}
}
