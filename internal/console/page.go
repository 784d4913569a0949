package console

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"onepg/internal/fault"
	"onepg/internal/httpapi"
)

// pageSet holds each screen's template, joined with the layout.
type pageSet map[string]*template.Template

// parsePages reads templates/<screen>.html, each with layout.html and
// parts.html beside it.
func parsePages(files fs.FS, assets *httpapi.Assets) (pageSet, error) {
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	set := pageSet{}
	for _, name := range names {
		screen := strings.TrimSuffix(path.Base(name), ".html")
		if screen == "layout" || screen == "parts" {
			continue
		}
		t, err := template.New(screen).Funcs(functions(assets)).ParseFS(files, "templates/layout.html", "templates/parts.html", name)
		if err != nil {
			return nil, fmt.Errorf("console: page %s: %w", screen, err)
		}
		set[screen] = t
	}
	return set, nil
}

// page is what every template is given.
type page struct {
	Title string
	// Section is the entry of the menu that the page belongs to.
	Section  string
	Actor    string
	SignedIn bool
	// CanLook is whether the reader may see anything.
	CanLook bool
	// CanAct is whether the reader may change anything.
	CanAct  bool
	Version string
	// Notice says what has just been done.
	Notice string
	// Now is when the page was made.
	Now  time.Time
	Body any
}

// show answers with a screen. Of a screen that defines the template "part", a
// request of htmx is given that alone.
func (c *console) show(g *gin.Context, status int, screen string, p page) error {
	ctx := g.Request.Context()
	p.Actor, p.SignedIn = c.Access.Who(ctx)
	p.CanLook = c.Access.Permits(ctx, string(look))
	p.CanAct = c.Access.Permits(ctx, string(act))
	p.Version, p.Now = c.Version, c.Clock()
	p.Notice = notices[g.Query("done")]
	t := c.pages[screen]
	start := "layout"
	if isPart(g.Request) && t.Lookup("part") != nil {
		start = "part"
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, start, p); err != nil {
		return fmt.Errorf("make the page %s: %w", screen, err)
	}
	// Why: the same address answers with a page or a part of it.
	g.Writer.Header().Add("Vary", "HX-Request")
	return httpapi.WritePage(g, status, b.Bytes())
}

// isPart reports whether htmx asks, for a part of a page that is there.
func isPart(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }

// refusal is what an error page shows.
type refusal struct {
	*httpapi.Problem

	// Advice is what to do about it.
	Advice string
	// SignIn is where to go on after signing in; empty where that would not help.
	SignIn string
}

// refuse answers with a page that says what to do.
func (c *console) refuse(g *gin.Context, p *httpapi.Problem) error {
	r := refusal{Problem: p, Advice: advice(p)}
	if p.Status == http.StatusUnauthorized {
		r.SignIn = cmp.Or(backTo(g.Request), prefix)
	}
	return c.show(g, p.Status, "refused", page{Title: p.Title, Body: r})
}

// advice says what a person can do about a refusal.
func advice(p *httpapi.Problem) string {
	switch p.Status {
	case http.StatusForbidden:
		return "Sign in with a credential that has the scope, or ask whoever makes the keys (app keys create)."
	case http.StatusNotFound, http.StatusGone:
		return "Check the address, or look for an id with the search field."
	case http.StatusConflict, http.StatusPreconditionFailed:
		return "Somebody was faster. Go back, look at what it is now, and decide again."
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return "Wait a moment and reload the page. Nothing was lost."
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusUnprocessableEntity:
		return "Go back and correct what is named above."
	case http.StatusInternalServerError:
		return "Look for the request id in the log of the server, and tell whoever looks after it."
	}
	return ""
}

// backTo is the page a request was about, as an address on this console.
func backTo(r *http.Request) string {
	if r.Method != http.MethodGet || isPart(r) {
		return ""
	}
	return r.URL.RequestURI()
}

// notices are what a page may say about what has just been done. Why by code:
// the address is anybody's to write.
var notices = map[string]string{ //nolint:gochecknoglobals // a constant map
	"rebuild":  "The view is being rebuilt beside the live one; readers notice nothing.",
	"retry":    "It is tried again within a second. What fails again stays in the list.",
	"reverted": "It was put back, by an event that says so. The history is kept.",
	"appended": "The event was recorded.",
	"known":    "The event had been recorded before; nothing was added.",
}

// sameOrigin refuses a change that another site made the browser ask for. Why in
// addition to the cookie's SameSite: without access control there is no cookie,
// and the browser of an operator is on this machine.
func (c *console) sameOrigin(h func(*gin.Context) error) func(*gin.Context) error {
	return func(g *gin.Context) error {
		if err := c.origin.Check(g.Request); err != nil {
			return fault.Wrap(err, fault.Forbidden, "forbidden", "The console takes changes from its own pages only, and this request came from another site.")
		}
		return h(g)
	}
}

// needsAct refuses readers of the console who may write but not act in it.
func (c *console) needsAct(h func(*gin.Context) error) func(*gin.Context) error {
	return func(g *gin.Context) error {
		if !c.Access.Permits(g.Request.Context(), string(act)) {
			return fault.New(fault.Forbidden, "forbidden", "The console is read-only without the scope "+string(act)+".")
		}
		return h(g)
	}
}

// goTo sends the browser on after a change, so that reloading repeats nothing.
func goTo(g *gin.Context, url string) error {
	g.Redirect(http.StatusSeeOther, url)
	return nil
}
