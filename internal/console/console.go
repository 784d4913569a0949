// Package console is the web console: what happened, who did it, what was it
// before, is anything stuck, and put it back.
//
//	browser -> edge (sign-in, scope) -> screen -> template -> page
//	                                       |
//	                                       +-> log, views, domains (what is asked)
//
// Pages are made on the server by html/template and are whole without
// JavaScript. With it, htmx exchanges parts of them, uPlot draws, and the live
// tail follows the log. All of it is embedded: no build step, nothing from
// elsewhere, and a policy (httpapi.PagePolicy) under which nothing that stands
// in a page can run.
//
// # Who may do what
//
// events:read opens the console. Everything that changes something needs
// views:admin, and what appends events needs the domain's write scope as well;
// without them the console is read-only and shows no buttons that would be
// refused. What a browser sends because another site made it do so is refused,
// whether or not access control is on.
//
// # Speed
//
// Each page asks a bounded number of questions that an index answers, or looks
// at a bounded part of the log and says which. Counts are made once: what has
// been counted in an append-only log never changes. Neither does what an
// aggregate was: a long history is added up once, by as many requests as it
// takes, and the slider goes on from what is remembered of it. With a million
// events stored every page takes less than 100 ms of the server's time on two idle
// cores: half of it where a search finds next to nothing, and mostly 5.
package console

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/httpapi"
	"onepg/internal/tail"
)

//go:embed assets
var assetFiles embed.FS

//go:embed templates
var templateFiles embed.FS

const (
	// prefix is where the console is.
	prefix = "/console"
	// look and act are the scopes of the console's own routes.
	look, act httpapi.Scope = "events:read", "views:admin"
)

// Log is what the console reads of the log.
type Log interface {
	// Event gives the event with this id and reports whether there is one.
	Event(ctx context.Context, id uuid.UUID) (eventsourcing.Recorded, bool, error)
	// Search looks for events in a bounded part of the log.
	Search(ctx context.Context, s eventstore.Search) (eventstore.Found, error)
	// Tally counts the events of a stretch by name and schema version.
	Tally(ctx context.Context, after, upTo int64) ([]eventstore.Tally, error)
	// PositionsAt gives the last position at each moment.
	PositionsAt(ctx context.Context, moments []time.Time) ([]int64, error)
}

// Views is what the console asks and wants of the views.
type Views interface {
	// Status tells how each view stands.
	Status(ctx context.Context) ([]aggregator.Status, error)
	// Parked lists what a view has set aside, after a position and up to limit.
	Parked(ctx context.Context, view string, after int64, limit int) ([]aggregator.Parked, error)
	// Retry asks for another attempt at a parked aggregate, or at all with uuid.Nil.
	Retry(ctx context.Context, view string, aggregateID uuid.UUID) (int, error)
	// Rebuild asks for a view to be folded anew.
	Rebuild(ctx context.Context, view string) error
}

// Access is who looks, and how they sign in.
type Access interface {
	// SignIn checks a credential and hands it to the browser.
	SignIn(w http.ResponseWriter, r *http.Request, credential string) error
	// SignOut makes the browser forget it.
	SignOut(w http.ResponseWriter, r *http.Request)
	// Who names whoever makes a request, and reports whether they signed in.
	Who(ctx context.Context) (actor string, signedIn bool)
	// Permits reports whether they may use a scope.
	Permits(ctx context.Context, scope string) bool
}

// Domain is what the console can do with the events of one domain.
type Domain struct {
	Name   string
	Events []eventsourcing.EventType
	// Timeline is what the aggregates were. It has no Steps where no view folds
	// the domain's events.
	Timeline aggregator.Timeline
	// Revert puts an aggregate back; nil where that is not possible.
	Revert func(ctx context.Context, id uuid.UUID, in *httpapi.RevertRequest) (*httpapi.Reverted, error)
	// ReadEvents holds events to the rules of the domain's append route; nil where
	// it has none.
	ReadEvents func(body []byte) ([]eventsourcing.Event, error)
}

// Options are what the console is made of.
type Options struct {
	Log      Log
	Registry *eventsourcing.Registry
	Views    Views
	Access   Access
	Domains  []Domain
	// Events is the log as it grows.
	Events *tail.Broadcast
	// Append records events in the name of the request's credential.
	Append func(ctx context.Context, events []eventsourcing.Event) ([]eventsourcing.Receipt, error)
	// Size measures the database.
	Size    func(ctx context.Context) (eventstore.Size, error)
	Clock   func() time.Time
	Version string
}

// console serves the screens.
type console struct {
	Options

	pages  pageSet
	counts counts
	origin *http.CrossOriginProtection
}

// Mount puts the console behind the HTTP edge. What is wrong with it is an
// error at start.
func Mount(api *httpapi.API, o Options) error {
	c := &console{Options: o, origin: http.NewCrossOriginProtection()}
	g := api.Pages(prefix, c.refuse)
	files, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	if c.pages, err = parsePages(templateFiles, g.Assets(files)); err != nil {
		return err
	}
	c.routes(g)
	return nil
}

// routes declares every screen and every button with the scope it asks for.
func (c *console) routes(g *httpapi.Group) {
	get := func(path string, scope httpapi.Scope, h func(*gin.Context) error) {
		g.Raw(httpapi.Operation{Method: http.MethodGet, Path: path, Scope: scope, Hidden: true}, h)
	}
	post := func(path string, scope httpapi.Scope, h func(*gin.Context) error) {
		g.Raw(httpapi.Operation{Method: http.MethodPost, Path: path, Scope: scope, Hidden: true}, c.sameOrigin(h))
	}
	get("", look, c.overview)
	get("/stats", look, c.stats)
	get("/events", look, c.events)
	g.FollowEvents(look, c.Events)
	get("/events/{id}", look, c.event)
	get("/find", look, c.find)
	get("/aggregates/{id}", look, c.aggregate)
	get("/aggregates/{id}/state", look, c.stateAt)
	get("/views", look, c.views)
	get("/views/{name}", look, c.view)
	post("/views/{name}/rebuild", act, c.rebuild)
	post("/views/{name}/retry", act, c.retryAll)
	post("/views/{name}/parked/{aggregate_id}/retry", act, c.retry)
	get("/catalogue", look, c.catalogue)
	get("/append", look, c.appendable)
	for _, d := range c.Domains {
		write := httpapi.Scope(d.Name + ":write")
		if d.ReadEvents != nil {
			get("/append/"+d.Name+"/{event}", write, c.appendForm(d))
			post("/append/"+d.Name+"/{event}", write, c.needsAct(c.appendEvent(d)))
		}
		if d.Revert != nil {
			post("/revert/"+d.Name+"/{id}", write, c.needsAct(c.revert(d)))
		}
	}
	get("/sign-in", httpapi.Public, c.signIn)
	post("/sign-in", httpapi.Public, c.signInWith)
	post("/sign-out", httpapi.Public, c.signOut)
}

// domainOf finds whose aggregates these are. It reports false for those of a
// program that knows more than this one.
func (c *console) domainOf(aggregate string) (Domain, bool) {
	for _, d := range c.Domains {
		for _, t := range d.Events {
			if t.Aggregate() == aggregate {
				return d, true
			}
		}
	}
	return Domain{}, false
}
