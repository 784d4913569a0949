package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The outer bounds of what can be set. They catch slips of the hand, such as
// seconds written as milliseconds, and values another part cannot hold.
const (
	// maxBytes is PostgreSQL's largest field.
	maxBytes = 1 << 30
	maxBatch = 100_000
	// An open stream costs a connection and less than 70 kB; the messages kept
	// are shared by all.
	maxStreams = 100_000
	maxBuffer  = 10_000
	// maxDepth stays far from where PostgreSQL's JSON parser runs out of stack.
	maxDepth  = 1000
	minHeader = 1 << 10
	maxHeader = 1 << 20
	maxRate   = 1_000_000
	// minDuration is PostgreSQL's resolution: less becomes 0 there, which
	// switches a timeout off.
	minDuration = time.Millisecond
	maxDuration = 24 * time.Hour
	// maxScore is the highest risk there is; one more, so that none is high.
	maxScore = 101
	maxBurst = 100
)

// parsed is a value whose text is read by parse.
type parsed[T any] struct {
	field *T
	parse func(text string) (T, error)
	// given is the last text that was accepted.
	given string
}

func (p *parsed[T]) set(text string) error {
	v, err := p.parse(text)
	if err != nil {
		return err
	}
	*p.field, p.given = v, text
	return nil
}

func (p *parsed[T]) masked() string { return p.given }

func (p *parsed[T]) secret() bool { return false }

// optionally lets the empty text through and leaves the field zero.
type optionally struct{ value }

func optional(v value) value { return optionally{v} }

func (o optionally) set(text string) error {
	if text == "" {
		return nil
	}
	return o.value.set(text)
}

func text(field *string) value {
	return &parsed[string]{field: field, parse: func(s string) (string, error) { return s, nil }}
}

func required(field *string) value {
	return &parsed[string]{field: field, parse: func(s string) (string, error) {
		if s == "" {
			return "", errors.New("must not be empty")
		}
		return s, nil
	}}
}

func oneOf[T ~string](field *T, allowed ...T) value {
	return &parsed[T]{field: field, parse: func(s string) (T, error) {
		if !slices.Contains(allowed, T(s)) {
			return "", errors.New("must be " + alternatives(allowed))
		}
		return T(s), nil
	}}
}

// alternatives writes "a", "a or b", "a, b or c".
func alternatives[T ~string](allowed []T) string {
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func boolean(field *bool) value {
	return &parsed[bool]{field: field, parse: func(s string) (bool, error) {
		if s != "true" && s != "false" {
			return false, errors.New("must be true or false")
		}
		return s == "true", nil
	}}
}

func number(field *int, least, most int) value {
	return &parsed[int]{field: field, parse: func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("must be a whole number from %d to %d", least, most)
		}
		return n, nil
	}}
}

func duration(field *time.Duration) value {
	return &parsed[time.Duration]{field: field, parse: func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < minDuration || d > maxDuration {
			return 0, errors.New("must be a time with its unit from 1ms to 24h, such as 500ms, 5s or 1m30s")
		}
		return d, nil
	}}
}

// amount is a decimal of more than zero, kept as text so that it stays exact.
func amount(field *string) value { return &parsed[string]{field: field, parse: parseAmount} }

func parseAmount(s string) (string, error) {
	if digits := strings.Replace(s, ".", "", 1); strings.Trim(digits, "0123456789") != "" || strings.Trim(digits, "0") == "" ||
		strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") {
		return "", errors.New("must be a decimal of more than zero, such as 10000 or 0.5")
	}
	return s, nil
}

// amounts are amounts by name: a=1,b=2.5.
func amounts(field *map[string]string) value {
	return &parsed[map[string]string]{field: field, parse: func(s string) (map[string]string, error) {
		all := make(map[string]string)
		for pair := range strings.SplitSeq(s, ",") {
			name, text, found := strings.Cut(strings.TrimSpace(pair), "=")
			_, twice := all[name]
			decimal, err := parseAmount(text)
			if !found || name == "" || twice || err != nil {
				return nil, errors.New("must be names with their amounts, such as a=100,b=0.5, each name once")
			}
			all[name] = decimal
		}
		return all, nil
	}}
}

func level(field *slog.Level) value {
	names := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	return &parsed[slog.Level]{field: field, parse: func(s string) (slog.Level, error) {
		l, ok := names[s]
		if !ok {
			return 0, errors.New("must be debug, info, warn or error")
		}
		return l, nil
	}}
}

func address(field *string) value {
	return &parsed[string]{field: field, parse: func(s string) (string, error) {
		_, port, err := net.SplitHostPort(s)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return "", errors.New("must be host:port, such as 127.0.0.1:8080 or [::1]:8080")
		}
		return s, nil
	}}
}

// place is a value that holds a database URL and shows it masked.
type place struct{ parsed[URL] }

func location(field *URL) value {
	return &place{parsed[URL]{field: field, parse: parseURL}}
}

func (p *place) masked() string { return p.field.String() }

func (p *place) secret() bool { return true }
