package cmd

import (
	"testing"

	"github.com/spf13/pflag"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/config"
	"onepg/internal/domains"
	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// everyView gives the views of all domains, and the events of all aggregates.
func everyView(t *testing.T) ([]aggregator.View, map[string][]eventsourcing.EventType) {
	t.Helper()
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
	return views, events
}

// Every view of the program obeys the laws of views, with the events of its
// aggregate, whichever domain defines them.
func TestEveryViewObeysTheLaws(t *testing.T) {
	t.Parallel()
	views, events := everyView(t)
	for _, view := range views {
		t.Run(view.Name, func(t *testing.T) {
			t.Parallel()
			aggregatortest.Laws(t, aggregatortest.Subject{
				View: view, Events: events[view.Aggregate], MustHand: view.Name == "users", // its route serves the row as it is
			})
		})
	}
}

// A server that is only a member of onepg_server keeps every view: the migration
// that makes a view's table says so.
func TestEveryViewIsGrantedToServers(t *testing.T) {
	t.Parallel()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: pgtest.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	views, _ := everyView(t)
	for _, view := range views {
		var granted bool
		err := db.NewRaw(`SELECT bool_and(has_table_privilege('onepg_server', ?, p)) FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p`,
			view.Name).Scan(t.Context(), &granted)
		if err != nil || !granted {
			t.Errorf("the migration that makes table %[1]s lacks: SELECT grant_view('%[1]s') (%[2]v)", view.Name, err)
		}
	}
}
