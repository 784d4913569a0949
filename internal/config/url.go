package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// mask stands where a secret was.
const mask = "xxxxx"

// URL is a database's address, which may hold a password. Whatever prints it
// (a log, fmt with any verb, JSON, `app config show`) gets the password masked;
// only [URL.Reveal] gives it away.
type URL struct {
	// Why a pointer: fmt cannot call methods on a URL inside an unexported
	// field and prints its fields instead, which then is an address in memory.
	raw *string
}

// Reveal gives the address as it was set, with its password, for the driver.
func (u URL) Reveal() string {
	if u.raw == nil {
		return ""
	}
	return *u.raw
}

// Empty reports whether no address was set.
func (u URL) Empty() bool { return u.Reveal() == "" }

// String gives the address with every password masked. What does not have the
// expected shape is masked as a whole.
func (u URL) String() string { return masked(u.Reveal()) }

// Format prints the masked address whatever the verb.
func (u URL) Format(s fmt.State, _ rune) {
	fmt.Fprint(s, u.String())
}

// MarshalText gives the masked address to JSON and other encoders.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue gives the masked address to slog.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// parseURL accepts the shape of a PostgreSQL URL and keeps it to the byte:
// libpq allows hosts that net/url refuses, such as %2Frun%2Fpostgresql, and
// what the driver cannot use is explained where it is opened.
func parseURL(raw string) (URL, error) {
	if _, ok := split(raw); !ok {
		return URL{}, errors.New("must look like postgres://user:password@host:5432/database, " +
			"with special characters in the password percent-encoded (@ is %40, / is %2F, # is %23, ? is %3F)")
	}
	return URL{raw: &raw}, nil
}

// parts are the pieces of a URL between which secrets are looked for.
type parts struct{ scheme, user, host, query string }

// split reports false unless every piece is where it belongs. An @ after the
// host betrays a password with an unescaped / # or ?, part of which would
// otherwise pass for a path and be printed.
func split(raw string) (parts, bool) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || (scheme != "postgres" && scheme != "postgresql") {
		return parts{}, false
	}
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	if strings.ContainsAny(tail, "@#") || strings.ContainsFunc(raw, notPrintable) {
		return parts{}, false
	}
	at := strings.LastIndex(authority, "@") + 1
	path, query, _ := strings.Cut(tail, "?")
	return parts{scheme: scheme, user: authority[:at], host: authority[at:] + path, query: query}, true
}

func notPrintable(r rune) bool { return r <= ' ' || r == 0x7f }

func masked(raw string) string {
	if raw == "" {
		return ""
	}
	p, ok := split(raw)
	if !ok {
		return mask
	}
	user := p.user
	if name, _, found := strings.Cut(user, ":"); found {
		user = name + ":" + mask + "@"
	}
	query := ""
	if p.query != "" {
		query = "?" + maskedQuery(p.query)
	}
	return p.scheme + "://" + user + p.host + query
}

// maskedQuery hides the values of libpq's password, sslpassword and whatever
// else calls itself one.
func maskedQuery(query string) string {
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil || strings.Contains(strings.ToLower(plain), "pass") {
			pairs[i] = name + "=" + mask
		}
	}
	return strings.Join(pairs, "&")
}
