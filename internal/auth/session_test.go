package auth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"onepg/internal/auth"
	"onepg/internal/fault"
)

// signIn gives the cookie that a sign-in hands out.
func signIn(t *testing.T, guard *auth.Guard, credential string, headers ...string) (*http.Cookie, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, auth.SessionPath+"/sign-in", nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	err := guard.SignIn(rec, r, credential)
	for _, c := range rec.Result().Cookies() {
		return c, err
	}
	return nil, err
}

// What somebody signed in with counts on the pages it is for, and nowhere else.
func TestASessionCountsOnThePagesItIsForAlone(t *testing.T) {
	t.Parallel()
	guard := auth.New(auth.Options{Verifier: &names{}, Rate: 100, Burst: 100, Clock: time.Now})
	cookie, err := signIn(t, guard, " ok-ada\n")
	if err != nil || cookie == nil || cookie.Value != "ok-ada" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/console" || cookie.Secure || cookie.MaxAge != 0 {
		t.Fatalf("%+v %v", cookie, err)
	}
	for path, admitted := range map[string]bool{
		"/console": true, "/console/events": true, "/consoles": false, "/v1/users": false, "/": false, "/v1/console": false, "/Console": false,
	} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.AddCookie(cookie)
		ctx, err := guard.Authorize(r, "users:read")
		if (err == nil) != admitted {
			t.Errorf("%s: %v", path, err)
		}
		if admitted && (auth.Actor(ctx) != "key:ok-ada" || !auth.SignedIn(ctx) || !auth.Permits(ctx, "users:read") || auth.Permits(ctx, "users:write")) {
			t.Errorf("%s: %s", path, auth.Actor(ctx))
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/console", nil)
	r.AddCookie(cookie)
	r.Header.Set("Authorization", "Bearer ok-bob")
	if ctx, err := guard.Authorize(r, "users:read"); err != nil || auth.Actor(ctx) != "key:ok-bob" {
		t.Errorf("the header goes first: %v %v", auth.Actor(ctx), err)
	}
}

func TestACredentialThatIsNoGoodOpensNoSession(t *testing.T) {
	t.Parallel()
	guard := auth.New(auth.Options{Verifier: &names{}, Rate: 1, Burst: 5, Clock: newClock().Now})
	for what, c := range map[string]struct{ credential, code string }{
		"unknown": {"no", "unauthenticated"}, "empty": {"", "unauthenticated"}, "not a token": {"ok;Path=/", "unauthenticated"},
		"two lines": {"ok\r\nSet-Cookie: a=b", "unauthenticated"}, "too long": {"ok" + strings.Repeat("a", 4096), "validation-failed"},
	} {
		if cookie, err := signIn(t, guard, c.credential); cookie != nil || !fault.Is(err, c.code) {
			t.Errorf("%s: %v %v", what, cookie, err)
		}
	}
	// Guessing here costs as much as guessing anywhere.
	_, _ = signIn(t, guard, "no-more")
	if _, err := signIn(t, guard, "ok"); !fault.Is(err, "rate-limited") {
		t.Errorf("after too many guesses: %v", err)
	}
}

func TestASessionOverHTTPSIsForHTTPSAlone(t *testing.T) {
	t.Parallel()
	guard := auth.New(auth.Options{Verifier: &names{}, Rate: 100, Burst: 100, Clock: time.Now})
	if cookie, err := signIn(t, guard, "ok", "Origin: https://onepg.example"); err != nil || !cookie.Secure {
		t.Errorf("%+v %v", cookie, err)
	}
	rec := httptest.NewRecorder()
	auth.SignOut(rec, httptest.NewRequest(http.MethodPost, "/console/sign-out", nil))
	if out := rec.Result().Cookies(); len(out) != 1 || out[0].MaxAge >= 0 || out[0].Value != "" || out[0].Path != "/console" {
		t.Errorf("signing out: %v", out)
	}
}

// Without access control everything is permitted, to a request that was admitted.
func TestPermissionsAreThoseOfAnAdmittedRequest(t *testing.T) {
	t.Parallel()
	if auth.Permits(t.Context(), "users:read") || auth.SignedIn(t.Context()) {
		t.Error("a context that was never admitted is permitted something")
	}
	guard := auth.New(auth.Options{Clock: time.Now})
	r := httptest.NewRequest(http.MethodGet, "http://localhost/console", nil)
	ctx, err := guard.Authorize(r, "events:read")
	if err != nil || !auth.Permits(ctx, "views:admin") || auth.SignedIn(ctx) || auth.Actor(ctx) != "anonymous" {
		t.Errorf("%v", err)
	}
	if cookie, err := signIn(t, guard, "whatever"); cookie != nil || !fault.Is(err, "forbidden") {
		t.Errorf("a foreign host: %v %v", cookie, err)
	}
}
