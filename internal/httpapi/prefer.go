package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"onepg/internal/fault"
)

// longestWait caps Prefer: wait, so that a client cannot hold a connection at
// will.
const longestWait = 30 * time.Second

// oneLook is the time for one question to the database.
const oneLook = 100 * time.Millisecond

// Waiting is embedded in the input of a route that honours Prefer: wait.
type Waiting struct {
	Prefer string `header:"Prefer" doc:"wait=N: wait up to N seconds, at most 30 (RFC 7240)."`

	wait time.Duration
	asks bool
}

// Resolve reads every line of the header. A preference is a wish: what is
// malformed is ignored.
func (w *Waiting) Resolve(ctx huma.Context) []error {
	w.wait, w.asks = parsePreferWait(headerLines(ctx, "Prefer"))
	return nil
}

// Await waits until shown returns true, as long as the client would, and gives
// the value of Preference-Applied: empty where nothing was asked for or the
// time ran out.
func (w *Waiting) Await(ctx context.Context, shown func(context.Context) bool) string {
	if !w.asks || !await(ctx, w.wait, shown) {
		return ""
	}
	return PreferenceApplied(w.wait)
}

// AwaitVersion holds a read back until reached returns true: the view shows the
// version that the client asked for, where 0 is none. It looks once even if the
// client would not wait. It fails as reached does, or with "view-behind", and gives
// the value of Preference-Applied.
func (w *Waiting) AwaitVersion(ctx context.Context, version int, reached func(context.Context) (bool, error)) (string, error) {
	if version == 0 {
		return "", nil
	}
	var failure error
	inTime := await(ctx, max(w.wait, oneLook), func(ctx context.Context) (ok bool) {
		ok, failure = reached(ctx)
		return ok
	})
	switch {
	case failure != nil:
		return "", failure
	case !inTime:
		return "", &fault.Error{
			Kind: fault.Timeout, Code: "view-behind",
			Message: "The view does not show that version yet. Ask again, or wait longer with Prefer: wait=N.",
		}
	case !w.asks:
		return "", nil
	}
	return PreferenceApplied(w.wait), nil
}

// await reports whether shown returned true in time. A server that shuts down ends the
// wait: the answer is ready, only the views are not.
func await(ctx context.Context, patience time.Duration, shown func(context.Context) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	draining := Draining(ctx)
	go func() {
		select {
		case <-draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	return shown(ctx)
}

// PreferenceApplied is the header's value for a wait that was honoured.
func PreferenceApplied(wait time.Duration) string {
	return "wait=" + strconv.Itoa(int(wait/time.Second))
}

// ParsePreferWait reads the wait preference (RFC 7240, 4.3) in whole seconds
// from any number of Prefer headers. The first wait counts, also when it is
// malformed and so ignored; more than 30 seconds become 30.
func ParsePreferWait(header http.Header) (time.Duration, bool) {
	return parsePreferWait(header["Prefer"])
}

func parsePreferWait(lines []string) (time.Duration, bool) {
	for _, line := range lines {
		for len(line) > 0 {
			var preference string
			preference, line = cutUnquoted(line, ',')
			preference, _ = cutUnquoted(preference, ';') // parameters of a preference are not ours
			name, value, _ := strings.Cut(preference, "=")
			if strings.EqualFold(strings.TrimSpace(name), "wait") {
				return parseWait(strings.TrimSpace(value))
			}
		}
	}
	return 0, false
}

// parseWait accepts digits, bare or quoted; RFC 7240 makes the two equal.
func parseWait(value string) (time.Duration, bool) {
	if unquoted, ok := strings.CutPrefix(value, `"`); ok {
		if value, ok = strings.CutSuffix(unquoted, `"`); !ok {
			return 0, false
		}
	}
	if value == "" || strings.Trim(value, "0123456789") != "" {
		return 0, false
	}
	seconds, err := strconv.Atoi(value)
	if err != nil || seconds > int(longestWait/time.Second) {
		return longestWait, true // too many digits is also more than 30
	}
	return time.Duration(seconds) * time.Second, true
}

// cutUnquoted cuts s at the first sep outside a quoted string.
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
