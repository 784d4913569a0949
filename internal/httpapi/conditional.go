package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// ETag is the strong entity tag of a version (RFC 9110, 8.8.3): "N" in quotes.
func ETag(version int) string { return `"` + strconv.Itoa(version) + `"` }

// Conditional is embedded in the input of a versioned read. It holds the
// entity tags a client already has.
type Conditional struct {
	IfNoneMatch string `header:"If-None-Match" doc:"An ETag from an earlier answer; 304 while it is still current."`

	lines []string
}

// Resolve collects every line of the header; huma alone would see the first.
func (c *Conditional) Resolve(ctx huma.Context) []error {
	c.lines = headerLines(ctx, "If-None-Match")
	return nil
}

// Unchanged tells whether the client's tags name the version. Tags compare
// weakly, as RFC 9110 13.1.2 asks, and what is no tag names nothing.
func (c *Conditional) Unchanged(version int) bool {
	for _, line := range c.lines {
		if matchesTag(line, ETag(version)) {
			return true
		}
	}
	return false
}

func matchesTag(list, tag string) bool {
	if strings.TrimSpace(list) == "*" {
		return true
	}
	// A tag of ours holds no comma, so a foreign one that does cannot be cut
	// into one of ours with both its quotes.
	for candidate := range strings.SplitSeq(list, ",") {
		if strings.TrimPrefix(strings.TrimSpace(candidate), "W/") == tag {
			return true
		}
	}
	return false
}

// Versioned is the answer to a versioned read: the body with its ETag, or 304
// with the ETag alone.
type Versioned[T any] struct {
	Status       int
	ETag         string `header:"ETag" doc:"The version in quotes."` //nolint:tagliatelle // RFC 9110 spells it so
	CacheControl string `header:"Cache-Control"`
	// PreferenceApplied is set by the handler when it waited and was not in vain.
	PreferenceApplied string `header:"Preference-Applied"`
	Body              T
}

// NewVersioned answers body at version, or 304 when the client has it already.
// Caches may keep it for one user and must ask before every use.
func NewVersioned[T any](c *Conditional, version int, body T) *Versioned[T] {
	out := &Versioned[T]{Status: http.StatusOK, ETag: ETag(version), CacheControl: "private, no-cache", Body: body}
	if c.Unchanged(version) {
		out.Status = http.StatusNotModified
	}
	return out
}

// Match is an If-Match precondition. The zero value is none.
type Match struct {
	// Version must be the current one; nil where none is named.
	Version *int
	// Any asks only that the thing exists (If-Match: *).
	Any bool
}

// never is a version that nothing is ever at.
const never = -1

// expected is the version to record at so that both the precondition and the
// event's own expected version hold. Why never for Any: whether the thing exists
// is then answered before anything is recorded, which could create it.
func (m Match) expected(own *int) int {
	if m.Any || own != nil && *own != *m.Version {
		return never
	}
	return *m.Version
}

// holds tells whether the precondition is true of a thing at that version; 0 is
// one that does not exist.
func (m Match) holds(current int) bool {
	if m.Any {
		return current > 0
	}
	return current == *m.Version
}

// ParseIfMatch reads If-Match: one tag of ours or "*". Tags compare strongly
// (RFC 9110, 13.1.1), so a weak one is a version that nothing is ever at.
// Anything else is refused rather than read as a precondition that cannot hold,
// because it is a client's mistake and not a lost race.
func ParseIfMatch(header http.Header) (Match, error) {
	return parseIfMatch(header["If-Match"])
}

func parseIfMatch(lines []string) (Match, error) {
	if len(lines) == 0 {
		return Match{}, nil
	}
	value := strings.TrimSpace(lines[0])
	if len(lines) == 1 && value == "*" {
		return Match{Any: true}, nil
	}
	tag, weak := strings.CutPrefix(value, "W/")
	version, err := strconv.ParseUint(strings.Trim(tag, `"`), 10, 31)
	if err != nil || len(lines) > 1 || ETag(int(version)) != tag {
		return Match{}, BadParameter("If-Match", `expected one version in quotes, like "3", or *; lists are not taken`)
	}
	v := int(version)
	if weak {
		v = never
	}
	return Match{Version: &v}, nil
}

// Precondition is embedded in the input of a write that honours If-Match.
type Precondition struct {
	IfMatch string `header:"If-Match" doc:"The version the row must be at, in quotes, or * for whatever it is; 412 if it is not. A weak tag (W/) never matches, and lists are not taken."`

	match Match
}

// Resolve parses the header and refuses what is malformed.
func (p *Precondition) Resolve(ctx huma.Context) []error {
	var err error
	if p.match, err = parseIfMatch(headerLines(ctx, "If-Match")); err != nil {
		return []error{err}
	}
	return nil
}

// Expect makes it the precondition that the version is the current one, for
// callers within the program.
func (p *Precondition) Expect(version int) { p.match = Match{Version: &version} }

// Match is the parsed precondition.
func (p *Precondition) Match() Match { return p.match }

func headerLines(ctx huma.Context, name string) []string {
	var lines []string
	ctx.EachHeader(func(n, value string) {
		if n == name {
			lines = append(lines, value)
		}
	})
	return lines
}
