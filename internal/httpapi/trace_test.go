package httpapi

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestATraceIsTakenFromAValidTraceparent(t *testing.T) {
	t.Parallel()
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for header, want := range map[string]string{
		"00-" + trace + "-" + span + "-01":                    trace,
		"00-" + trace + "-" + span + "-00":                    trace,
		"01-" + trace + "-" + span + "-01":                    trace, // a later version
		"01-" + trace + "-" + span + "-01-more":               trace,
		"00-" + trace + "-" + span + "-01-more":               "", // this one is no longer
		"01-" + trace + "-" + span + "-01more":                "",
		"ff-" + trace + "-" + span + "-01":                    "",
		"0g-" + trace + "-" + span + "-01":                    "",
		"00-" + strings.ToUpper(trace) + "-" + span + "-01":   "",
		"00-" + trace[1:] + "0-" + span + "-0":                "",
		"00-" + trace[1:] + "-" + span + "0-01":               "",
		"00-" + trace + "+" + span + "-01":                    "",
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01":  "",
		"00-" + trace + "-" + strings.Repeat("0", 16) + "-01": "",
		"00": "",
		"":   "",
	} {
		if got := traceID([]string{header}); got != want {
			t.Errorf("%s: %q", header, got)
		}
	}
	good := "00-" + trace + "-" + span + "-01"
	if got := traceID([]string{good, good}); got != "" {
		t.Errorf("two headers: %q", got)
	}
	if got := traceID(nil); got != "" {
		t.Errorf("no header: %q", got)
	}
}

// What a trace is added to is stored: whatever it was, it has to be an object
// with the same members.
func FuzzATraceIsAddedToMetadata(f *testing.F) {
	for _, seed := range []string{"", "{}", " { } ", `{"a":1}`, `{"trace_id":"mine"}`, `{"{":"\"}"}`, `{"a":{"trace_id":1}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, metadata string) {
		var before map[string]json.RawMessage
		if metadata != "" && (json.Unmarshal([]byte(metadata), &before) != nil || before == nil) {
			t.Skip()
		}
		got := withCircumstances(json.RawMessage(metadata), []circumstance{{"trace_id", "abc"}})
		if _, given := before["trace_id"]; given {
			if string(got) != metadata {
				t.Fatalf("%q became %q", metadata, got)
			}
			return
		}
		var after map[string]json.RawMessage
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%q: %v", metadata, err)
		}
		if before == nil {
			before = make(map[string]json.RawMessage)
		}
		before["trace_id"] = json.RawMessage(`"abc"`)
		if len(before) != len(after) {
			t.Fatalf("%q became %v", metadata, after)
		}
		for name, value := range before {
			if string(after[name]) != string(value) {
				t.Errorf("%q: %s is %s, want %s", metadata, name, after[name], value)
			}
		}
	})
}
