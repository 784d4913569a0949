package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/httpapi"
)

// functions are what templates can call.
func functions(assets *httpapi.Assets) template.FuncMap {
	return template.FuncMap{
		"asset":   assets.URL,
		"ago":     ago,
		"clock":   func(t eventsourcing.Time) string { return t.UTC().Format("15:04:05.000") },
		"day":     func(t eventsourcing.Time) string { return t.UTC().Format("2 Jan 2006") },
		"count":   func(n any) string { return thousands(fmt.Sprint(n)) },
		"bytes":   size,
		"seconds": seconds,
		"short":   short,
		"json":    tokens,
		"summary": summary,
		"percent": percent,
		"times":   func(n any) string { return plural(n, "time") },
	}
}

// thousands puts thin spaces into a whole number.
func thousands(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}

// plural is a number of things.
func plural(n any, unit string) string {
	digits := fmt.Sprint(n)
	if digits != "1" {
		unit += "s"
	}
	return thousands(digits) + " " + unit
}

// size is a number of bytes for people.
func size(n int64) string {
	const step = 1024
	value, unit := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < step {
			break
		}
		value, unit = value/step, next
	}
	if unit == "B" || value >= 100 {
		return strconv.FormatFloat(value, 'f', 0, 64) + "\u202f" + unit
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + "\u202f" + unit
}

// seconds is a duration for people.
func seconds(s float64) string {
	switch {
	case s < 10:
		return strconv.FormatFloat(s, 'f', 1, 64) + "\u202fs"
	case s < 2*time.Minute.Seconds():
		return strconv.FormatFloat(s, 'f', 0, 64) + "\u202fs"
	case s < 2*time.Hour.Seconds():
		return strconv.FormatFloat(s/time.Minute.Seconds(), 'f', 0, 64) + "\u202fmin"
	}
	const day = 24 * time.Hour
	if s < 2*day.Seconds() {
		return strconv.FormatFloat(s/time.Hour.Seconds(), 'f', 0, 64) + "\u202fh"
	}
	return strconv.FormatFloat(s/day.Seconds(), 'f', 0, 64) + "\u202fd"
}

// ago is how long before now something was.
func ago(now time.Time, t eventsourcing.Time) string {
	s := now.Sub(t.Time).Seconds()
	if s < 1 {
		return "just now"
	}
	return seconds(math.Floor(s)) + " ago"
}

// short is the part of a UUID that tells neighbours apart. Why its end: the
// beginning of a UUIDv7 is the time.
func short(id uuid.UUID) string {
	s := id.String()
	return s[:8] + "…" + s[len(s)-6:]
}

// percent is how much of a whole is done.
func percent(done, whole int64) int {
	if whole <= 0 || done >= whole {
		return 100
	}
	return int(100 * done / whole)
}

// token is a piece of JSON as it is shown.
type token struct {
	// Class is key, string, number, word or empty.
	Class, Text string
	// Link leads to what the value may name.
	Link string
}

// tokens lays JSON out for people, with numbers and strings as they are
// written. What is not JSON is shown as it is.
func tokens(raw json.RawMessage) []token {
	var b bytes.Buffer
	if len(raw) == 0 || json.Indent(&b, raw, "", "  ") != nil {
		return []token{{Text: string(raw)}}
	}
	text := b.String()
	var list []token
	for text != "" {
		n, class := lex(text)
		t := token{Class: class, Text: text[:n]}
		text = text[n:]
		if class == "string" && strings.HasPrefix(text, ":") {
			t.Class = "key"
		}
		if id, err := strconv.Unquote(t.Text); err == nil && t.Class == "string" && len(id) == 36 && uuid.Validate(id) == nil {
			t.Link = prefix + "/find?q=" + url.QueryEscape(id)
		}
		list = append(list, t)
	}
	return list
}

// lex measures the first token of indented JSON.
func lex(text string) (length int, class string) {
	const words, digits = "abcdefghijklmnopqrstuvwxyz", "-+.eE0123456789"
	span := func(of string) int { return len(text) - len(strings.TrimLeft(text, of)) }
	switch c := text[0]; {
	case c == '"':
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return i + 1, "string"
			}
		}
		return len(text), "string"
	case strings.IndexByte(digits, c) >= 0:
		return span(digits), "number"
	case strings.IndexByte(words, c) >= 0:
		return span(words), "word"
	}
	if end := strings.IndexAny(text, `"`+words+digits); end > 0 {
		return end, ""
	}
	return len(text), ""
}

// summary is the beginning of a payload on one line.
func summary(raw json.RawMessage) string {
	const longest = 160
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return ""
	}
	text := []rune(strings.NewReplacer(`,"`, `, "`, `":`, `": `).Replace(b.String()))
	if len(text) > longest {
		return string(text[:longest]) + "…"
	}
	return string(text)
}
