package app

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"onepg/internal/aggregator"
	"onepg/internal/auth"
	"onepg/internal/console"
	"onepg/internal/domains"
	"onepg/internal/httpapi"
)

// console puts the web console beside the API.
func (a *App) console(p parts) error {
	o := console.Options{
		Log: a.log, Registry: a.registry, Views: a.views, Access: access{a.guard}, Events: a.events,
		Append: a.record, Clock: now, Version: a.options.Version,
		Size: a.log.Size,
	}
	for _, d := range p.domains {
		shown, err := a.inConsole(d)
		if err != nil {
			return fmt.Errorf("domain %s in the console: %w", d.Name, err)
		}
		o.Domains = append(o.Domains, shown)
	}
	return console.Mount(a.api, o)
}

// inConsole is what the console can do with a domain.
func (a *App) inConsole(d domains.Domain) (console.Domain, error) {
	shown := console.Domain{Name: d.Name, Events: d.Events, Revert: d.Revert}
	if i := slices.IndexFunc(d.Views, func(v aggregator.View) bool { return owns(d, v) }); i >= 0 {
		shown.Timeline = d.Views[i].Timeline(pastLog{a})
	}
	if !postable(d.Events) {
		return shown, nil
	}
	var err error
	shown.ReadEvents, err = httpapi.EventReader(eventLimits(a.options.Config), d.Events)
	return shown, err
}

// access is the guard as the console asks it.
type access struct{ guard *auth.Guard }

// SignIn asks the guard.
func (s access) SignIn(w http.ResponseWriter, r *http.Request, credential string) error {
	return s.guard.SignIn(w, r, credential)
}

// SignOut forgets the credential.
func (access) SignOut(w http.ResponseWriter, r *http.Request) { auth.SignOut(w, r) }

// Who tells what the guard found out.
func (access) Who(ctx context.Context) (actor string, signedIn bool) {
	return auth.Actor(ctx), auth.SignedIn(ctx)
}

// Permits tells what the guard found out.
func (access) Permits(ctx context.Context, scope string) bool { return auth.Permits(ctx, scope) }
