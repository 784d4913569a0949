package cmd

import (
	"testing"

	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/domains"
)

// Every view of the program obeys the laws of views.
func TestEveryViewObeysTheLaws(t *testing.T) {
	t.Parallel()
	for _, make := range constructors() {
		domain := make(domains.Deps{})
		for _, view := range domain.Views {
			t.Run(view.Name, func(t *testing.T) {
				t.Parallel()
				aggregatortest.Laws(t, aggregatortest.Subject{View: view, Events: domain.Events})
			})
		}
	}
}
