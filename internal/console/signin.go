package console

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"onepg/internal/fault"
)

// signInBody is the form for a credential.
type signInBody struct {
	Next  string // where to go on
	Wrong string // why the last one was refused
}

func (c *console) signIn(g *gin.Context) error {
	return c.show(g, http.StatusOK, "sign-in", page{Title: "Sign in", Body: signInBody{Next: local(g.Query("next"))}})
}

// signInWith takes a credential. Why refused ones are answered with the form and
// not with a problem's page: most are mistyped.
func (c *console) signInWith(g *gin.Context) error {
	next := local(g.PostForm("next"))
	err := c.Access.SignIn(g.Writer, g.Request, strings.TrimSpace(g.PostForm("credential")))
	f, foreseen := fault.Of(err)
	if foreseen && (f.Kind == fault.Unauthenticated || f.Kind == fault.Invalid) {
		body := signInBody{Next: next, Wrong: f.Message}
		return c.show(g, http.StatusUnauthorized, "sign-in", page{Title: "Sign in", Body: body})
	}
	if err != nil {
		return err
	}
	return goTo(g, next)
}

func (c *console) signOut(g *gin.Context) error {
	c.Access.SignOut(g.Writer, g.Request)
	return goTo(g, prefix+"/sign-in")
}

// local is the address if it is one of the console's pages, else its first page:
// a link to the form must not lead elsewhere.
func local(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Path != path.Clean(u.Path) || u.Scheme != "" || u.Host != "" || u.User != nil || strings.Contains(address, `\`) ||
		u.Path != prefix && !strings.HasPrefix(u.Path, prefix+"/") {
		return prefix
	}
	return u.RequestURI()
}
