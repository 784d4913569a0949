package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// traceID is the trace a request belongs to, from its traceparent header (W3C
// Trace Context, 3.2); empty without a valid one, which the standard asks to
// ignore.
func traceID(lines []string) string {
	// Version 00 is exactly this long, and a later one begins with the same.
	const header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if len(lines) != 1 || len(lines[0]) < len(header) || strings.HasPrefix(lines[0], "00-") && len(lines[0]) != len(header) {
		return ""
	}
	if len(lines[0]) > len(header) && lines[0][len(header)] != '-' {
		return ""
	}
	parts := strings.SplitN(lines[0][:len(header)], "-", 4)
	if len(parts) != 4 {
		return ""
	}
	for i, length := range []int{2, 32, 16, 2} {
		if len(parts[i]) != length || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return ""
		}
	}
	if parts[0] == "ff" || strings.Trim(parts[1], "0") == "" || strings.Trim(parts[2], "0") == "" {
		return ""
	}
	return parts[1]
}

// story are the headers that tie the events of one story together. Each fills
// the field of the metadata that it names.
//
//nolint:gochecknoglobals // a constant table
var story = []struct{ header, field string }{
	{"X-Correlation-Id", "correlation_id"}, // as net/http spells it; names of headers have no case
	{"X-Causation-Id", "causation_id"},
}

// circumstancesOf is the metadata that a request gives to all its events,
// without the outer braces: its trace, and its place in a story. What is no id
// is ignored, as a broken trace is.
func circumstancesOf(header http.Header) []circumstance {
	var found []circumstance
	if trace := traceID(header["Traceparent"]); trace != "" {
		found = append(found, circumstance{"trace_id", trace})
	}
	for _, s := range story {
		if values := header[s.header]; len(values) == 1 && isSaneID(values[0]) {
			found = append(found, circumstance{s.field, values[0]})
		}
	}
	return found
}

// circumstance is a field of an event's metadata that its request gives it. The
// value is visible ASCII.
type circumstance struct{ field, value string }

// Metadata is what the request behind ctx gives to the metadata of the events
// that a command records in its name; nil without any.
func Metadata(ctx context.Context) json.RawMessage {
	return withCircumstances(nil, requestOf(ctx).circumstances)
}

// withCircumstances is an event's metadata with what its request gives it,
// unless it has that of its own. What came as metadata is an object without
// doubtful names, and keeps its text.
func withCircumstances(metadata json.RawMessage, given []circumstance) json.RawMessage {
	if len(given) == 0 {
		return metadata
	}
	fields := make(map[string]json.RawMessage)
	if len(metadata) > 0 && json.Unmarshal(metadata, &fields) != nil {
		return metadata
	}
	var added []string
	for _, c := range given {
		if _, own := fields[c.field]; !own {
			added = append(added, strconv.Quote(c.field)+":"+quoteJSON(c.value))
		}
	}
	if len(added) == 0 {
		return metadata
	}
	all := "{" + strings.Join(added, ",")
	if len(fields) == 0 {
		return json.RawMessage(all + "}")
	}
	_, rest, _ := strings.Cut(string(metadata), "{")
	return json.RawMessage(all + "," + rest)
}

// quoteJSON is visible ASCII as a JSON string.
func quoteJSON(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
