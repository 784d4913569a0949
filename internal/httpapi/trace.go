package httpapi

import (
	"context"
	"encoding/json"
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

// TraceMetadata is the metadata of events that a request makes without giving
// any: its trace_id, or nothing.
func TraceMetadata(ctx context.Context) json.RawMessage {
	return withTrace(nil, requestOf(ctx).trace)
}

// withTrace is an event's metadata with the trace_id, unless it has one. What
// came as metadata is an object without doubtful names.
func withTrace(metadata json.RawMessage, trace string) json.RawMessage {
	if trace == "" {
		return metadata
	}
	fields := make(map[string]json.RawMessage)
	if len(metadata) > 0 && json.Unmarshal(metadata, &fields) != nil {
		return metadata
	}
	if _, own := fields["trace_id"]; own {
		return metadata
	}
	field := `{"trace_id":"` + trace + `"`
	if len(fields) == 0 {
		return json.RawMessage(field + "}")
	}
	_, rest, _ := strings.Cut(string(metadata), "{")
	return json.RawMessage(field + "," + rest)
}
