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

// TestACanaryInALogOrAnAnswerIsFound plants what the watch is for.
func TestACanaryInALogOrAnAnswerIsFound(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"cannot apply " + canaryEmail, `{"detail":"` + canaryName + ` is taken"}`, "dial postgres://app:" + canaryPassword + "@/db",
		"key onepg_" + strings.Repeat("A2", 13), "token eyJhbGciOiJFUzI1NiJ9.e30.x", "Authorization: Bearer " + strings.Repeat("x", 20),
	} {
		if canaryIn(text) == "" {
			t.Errorf("%q passes", text)
		}
		watch := &listeningTB{TB: t}
		slog.New(watched(watch, slog.DiscardHandler)).Debug("trouble", slog.String("error", text))
		for _, end := range watch.ends {
			end()
		}
		if !watch.failed {
			t.Errorf("a log with %q passes", text)
		}
	}
	if found := canaryIn("key:web changed the row of 0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01, bearer token refused"); found != "" {
		t.Errorf("%q is no secret", found)
	}
}

// listeningTB is a test that notes that it would have failed.
type listeningTB struct {
	testing.TB

	ends   []func()
	failed bool
}

func (l *listeningTB) Cleanup(f func())      { l.ends = append(l.ends, f) }
func (l *listeningTB) Errorf(string, ...any) { l.failed = true }
