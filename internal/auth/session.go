package auth

import (
	"context"
	"net/http"
	"strings"

	"onepg/internal/fault"
)

const (
	// SessionPath is where a browser sends the credential that somebody signed
	// in with, and the only part of the program where it counts. What lies there
	// has to refuse requests that other sites make a browser send.
	SessionPath = "/console"
	// sessionCookie holds the credential itself, so that every replica knows it
	// and a revoked one ends the session.
	sessionCookie = "onepg_console"
	// maxCookie is what browsers keep of a cookie at least (RFC 6265, 6.1), name
	// and attributes included.
	maxCookie = 4096 - 256
)

// SignIn checks a credential that somebody typed in and hands it to the
// browser, for as long as that is open. Scripts cannot read it, and requests
// that other sites cause do not carry it. The refusals are those of a request
// that presents it, and a guess counts like any other.
func (g *Guard) SignIn(w http.ResponseWriter, r *http.Request, credential string) error {
	if len(credential) > maxCookie {
		return fault.New(fault.Invalid, "validation-failed", "This credential is too long for a browser to keep. Use one with fewer claims, or an API key.")
	}
	if g.verifier == nil {
		return g.refuseForeign(r)
	}
	presented := r.Clone(r.Context())
	presented.Header.Set("Authorization", "Bearer "+strings.TrimSpace(credential))
	if _, err := g.identify(presented); err != nil {
		return err
	}
	http.SetCookie(w, cookie(r, strings.TrimSpace(credential)))
	return nil
}

// SignOut makes the browser forget the credential.
func SignOut(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, cookie(r, ""))
}

// cookie keeps a credential in the browser; an empty one ends what it keeps.
func cookie(r *http.Request, value string) *http.Cookie {
	age := 0 // until the browser is closed
	if value == "" {
		age = -1
	}
	return &http.Cookie{ //nolint:gosec // Secure wherever the browser came by https
		Name: sessionCookie, Value: value, MaxAge: age, Path: SessionPath, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// Why by Origin: behind a proxy only the browser knows how it came here,
		// and it says so with every form it sends.
		Secure: r.TLS != nil || strings.HasPrefix(r.Header.Get("Origin"), "https://"),
	}
}

// credentialOf reads the credential of a request: the bearer's, or, where
// people look at pages, the one they signed in with.
func credentialOf(r *http.Request) (string, error) {
	if r.URL.Path != SessionPath && !strings.HasPrefix(r.URL.Path, SessionPath+"/") || r.Header.Values("Authorization") != nil {
		return bearer(r)
	}
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", unauthenticated("Sign in with an API key or a token.")
	}
	if !isToken68(c.Value) {
		return "", unauthenticated("What the browser kept is no credential; sign in again.")
	}
	return c.Value, nil
}

// SignedIn reports whether access control is on, so that there is something to
// sign out of.
func SignedIn(ctx context.Context) bool {
	who, ok := ctx.Value(identityKey{}).(Identity)
	return ok && !who.unbound
}
