package app_test

import (
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// P18. Every program that a test of this package starts is watched: what it
// logs, at debug too, and what it answers with an error status must not repeat
// what users send as content or what opens something.
//
// The content is that of the events the tests post most, the password is in
// the URL of every database.
const (
	canaryName     = "Ada Lovelace"
	canaryEmail    = "ada@example.com"
	canaryPassword = "CANARY-password"
)

// canaryIn gives the first thing that a text must not have, or nothing.
func canaryIn(text string) string {
	for _, canary := range []string{canaryName, canaryEmail, "CANARY"} {
		if strings.Contains(text, canary) {
			return canary
		}
	}
	// A key of ours, a JSON Web Token, and whatever follows "Bearer".
	return regexp.MustCompile(`onepg_[A-Z2-7]{26}|eyJ[A-Za-z0-9_-]{10,}\.|Bearer [A-Za-z0-9._-]{20,}`).FindString(text)
}

// withPassword puts the canary into a database's URL. The server trusts whoever
// reaches its socket, and asks for none.
func withPassword(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, has := u.User.Password(); has {
		return address // the server is somebody's, and wants its own
	}
	u.User = url.UserPassword(u.User.Username(), canaryPassword)
	return u.String()
}

// watched is a handler that passes on and keeps everything, debug too. What is
// kept is looked through when the test has ended.
func watched(t testing.TB, next slog.Handler) slog.Handler {
	t.Helper()
	kept := new(safeBuffer)
	t.Cleanup(func() {
		for line := range strings.Lines(kept.String()) {
			if canary := canaryIn(line); canary != "" {
				t.Errorf("the log tells %q:\n%s", canary, line)
			}
		}
	})
	return slog.NewMultiHandler(next, slog.NewTextHandler(kept, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
