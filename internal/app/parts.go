package app

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/auth"
	"onepg/internal/config"
	"onepg/internal/docs"
	"onepg/internal/domains"
	"onepg/internal/eventsourcing"
	"onepg/internal/httpapi"
	"onepg/internal/postgres"
	"onepg/internal/strictjson"
)

// viewsUpdated is the channel on which a view's new position is announced.
const viewsUpdated = "views:updated"

// parts are what the domains bring.
type parts struct {
	domains []domains.Domain
	events  []eventsourcing.EventType
	views   []aggregator.View
}

// assemble makes the domains. What they are given works once the program runs.
func (a *App) assemble() (parts, error) {
	return construct(a.options.Domains, domains.Deps{
		DB: a.pools.reader,
		WaitVersion: func(ctx context.Context, view string, id uuid.UUID, version int, shows func(context.Context) (bool, error)) (any, bool, error) {
			return a.views.WaitVersion(ctx, view, id, version, shows)
		},
		Past:   pastLog{a},
		Append: a.record,
		Wait: func(ctx context.Context, views []string, events []eventsourcing.Receipt) bool {
			return a.views.Wait(ctx, views, events)
		},
		Commands: eventsourcing.Commands{Log: a.log, Actor: auth.Actor, Metadata: httpapi.Metadata},
	})
}

// construct makes the domains of what they need. One that its settings keep from
// working is an error, also where only its views or events are wanted.
func construct(all []domains.Constructor, deps domains.Deps) (parts, error) {
	var p parts
	for _, domain := range all {
		d := domain(deps)
		if d.Err != nil {
			return p, fmt.Errorf("domain %s: %w", d.Name, d.Err)
		}
		p.domains = append(p.domains, d)
		p.events = append(p.events, d.Events...)
		p.views = append(p.views, d.Views...)
	}
	return p, nil
}

// routes puts everything behind the HTTP edge.
func (a *App) routes(p parts) error {
	c := a.options.Config
	api, err := httpapi.New(httpapi.Options{
		Logger: a.logger, Clock: now, Metrics: a.metrics, Version: a.options.Version,
		Authorize: func(r *http.Request, scope httpapi.Scope) (context.Context, error) {
			return a.guard.Authorize(r, string(scope))
		},
		Origins: c.Access.Origins, Events: p.events,
		Ready: a.ready, SeparateOps: c.OpsAddr != "", Translate: postgres.Fault, CheckBody: checkBody(c.Limits.JSONDepth),
		Limits: httpapi.Limits{
			BodyBytes: int64(c.Limits.BodyBytes), HeaderBytes: c.Limits.HeaderBytes,
			HeaderTimeout: c.Limits.HeaderTimeout, BodyTimeout: c.Limits.BodyTimeout,
			AnswerTimeout: c.Limits.AnswerTimeout, IdleTimeout: c.Limits.IdleTimeout,
			ShutdownTimeout: c.ShutdownTimeout, StreamClients: c.Limits.StreamClients, Heartbeat: c.Limits.StreamHeartbeat,
		},
	})
	if err != nil {
		return err
	}
	a.api = api
	for _, d := range p.domains {
		group := api.Group(d.Name)
		if postable(d.Events) {
			group.Appends(httpapi.Appending{
				Types:  d.Events,
				Limits: eventLimits(c),
				Append: a.record,
				Wait:   a.waitFor(d),
			})
		}
		d.Routes(group)
	}
	if err := a.stream(p); err != nil {
		return err
	}
	api.Events(logReader{a.log, a.registry})
	httpapi.Views(api, a.views, func(p aggregator.Parked) int64 { return p.Event.Position })
	docs.Mount(api)
	if err := a.console(p); err != nil {
		return err
	}
	return api.Err()
}

// eventLimits bound the events that come in, whichever way.
func eventLimits(c *config.Config) httpapi.EventLimits {
	return httpapi.EventLimits{PayloadBytes: c.Limits.PayloadBytes, Events: c.Limits.BatchEvents, Depth: c.Limits.JSONDepth}
}

// checkBody holds the bodies of commands to the same JSON as events.
func checkBody(depth int) func([]byte) error {
	return func(body []byte) error {
		var report strictjson.Report
		if _, err := strictjson.Parse(body, strictjson.Limits{MaxDepth: depth}, &report); err != nil {
			return err
		}
		return report.Err()
	}
}

func postable(types []eventsourcing.EventType) bool {
	return slices.ContainsFunc(types, func(t eventsourcing.EventType) bool { return !t.ServerOnly })
}

// owns tells whether a view of the domain is of the domain's own aggregates.
func owns(d domains.Domain, v aggregator.View) bool {
	return slices.ContainsFunc(d.Events, func(t eventsourcing.EventType) bool { return t.Aggregate() == v.Aggregate })
}

// waitFor waits until each of the domain's views of its own aggregates shows the
// events. A view of another domain's aggregates has nothing to do with them.
func (a *App) waitFor(d domains.Domain) func(context.Context, []eventsourcing.Receipt) bool {
	var names []string
	for _, v := range d.Views {
		if owns(d, v) {
			names = append(names, v.Name)
		}
	}
	return func(ctx context.Context, receipts []eventsourcing.Receipt) bool {
		return a.views.Wait(ctx, names, receipts)
	}
}

// wake gives a view its own subscription to the listener.
func (a *App) wake() (<-chan struct{}, func()) {
	s := a.listener.Subscribe()
	return s.C(), s.Close
}

// relay passes on what others say on a channel: that a view was moved, or a key
// changed. A missed word costs a waiting request a look into the database, and
// leaves a revoked key the few seconds that it is remembered.
func (a *App) relay(ctx context.Context, channel string, heard func(payload string)) error {
	const waiting = 64
	feed, err := a.listener.Feed(channel, waiting)
	if err != nil {
		return err
	}
	defer feed.Close()
	for {
		select {
		case payload := <-feed.C():
			heard(payload)
		case <-feed.Missed():
		case <-ctx.Done():
			return nil
		}
	}
}
