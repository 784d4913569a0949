package strictjson_test

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"

	"onepg/internal/strictjson"
)

// FuzzParse holds the decoder to encoding/json, which is laxer: whatever is
// accepted must be valid there and mean the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		event, `[{"a":[1,-2.5e3,true,null]},"\ud83d\ude00\n"]`, `{"a":1,"\u0061":2}`, `"C:\\u0000dir"`,
		`{"\u0000":"\u0000"}`, "[1e309,1e-400,0e9]", "\xef\xbb\xbf{}", strings.Repeat("[", 40), manyMembers(20, `"k3":1`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var report strictjson.Report
		root, err := strictjson.Parse(body, limits, &report)
		if err != nil {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if _, err := decoder.Token(); err != io.EOF {
			t.Fatalf("accepted bytes after the value: %v", err)
		}
		got := plain(root)
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("means %#v, to encoding/json %#v", got, want)
		}
		if report.Empty() && holdsNUL(got) {
			t.Fatal("let a \\u0000 through")
		}
		if report.Empty() && json.Unmarshal(body, new(any)) != nil {
			t.Fatal("let a number through that a double cannot hold")
		}
		if err := report.Err(); (err == nil) != report.Empty() { // builds every pointer
			t.Fatalf("Err = %v, Empty = %t", err, report.Empty())
		}

		again, err := strictjson.Parse([]byte(root.Raw()), limits, new(strictjson.Report))
		if err != nil {
			t.Fatalf("the raw text of what was accepted is refused: %v", err)
		}
		if !reflect.DeepEqual(got, plain(again)) {
			t.Fatalf("parsing the raw text again gives %#v", plain(again))
		}
	})
}

// plain is a value as encoding/json with UseNumber would give it.
func plain(v strictjson.Value) any {
	switch v.Kind() {
	case strictjson.Bool:
		return v.Raw() == "true"
	case strictjson.Number:
		return json.Number(v.Raw())
	case strictjson.String:
		return v.Text()
	case strictjson.Array:
		elements := make([]any, 0)
		for element := range v.Elements() {
			elements = append(elements, plain(element))
		}
		return elements
	case strictjson.Object:
		members := map[string]any{}
		for name, member := range v.Members() {
			members[name] = plain(member)
		}
		return members
	case strictjson.Null:
	}
	return nil
}

func holdsNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.ContainsRune(v, 0)
	case []any:
		for _, element := range v {
			if holdsNUL(element) {
				return true
			}
		}
	case map[string]any:
		for name, member := range v {
			if strings.ContainsRune(name, 0) || holdsNUL(member) {
				return true
			}
		}
	}
	return false
}
