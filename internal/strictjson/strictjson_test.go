package strictjson_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"onepg/internal/fault"
	"onepg/internal/strictjson"
)

var limits = strictjson.Limits{MaxDepth: 32}

// parse expects a body that is accepted without a mistake.
func parse(t *testing.T, body string) strictjson.Value {
	t.Helper()
	var report strictjson.Report
	v, err := strictjson.Parse([]byte(body), limits, &report)
	if err = errors.Join(err, report.Err()); err != nil {
		t.Fatalf("Parse(%.80q) = %v, want it accepted", body, err)
	}
	return v
}

// mistakes expects a body that is clear but cannot be stored.
func mistakes(t *testing.T, body string) []fault.Field {
	t.Helper()
	var report strictjson.Report
	if _, err := strictjson.Parse([]byte(body), limits, &report); err != nil {
		t.Fatalf("Parse(%.80q) = %v, want mistakes only", body, err)
	}
	return fields(t, report.Err())
}

func fields(t *testing.T, err error) []fault.Field {
	t.Helper()
	if err == nil {
		return nil
	}
	f, ok := fault.Of(err)
	if !ok || f.Kind != fault.Invalid || f.Code != "validation-failed" {
		t.Fatalf("report.Err() = %#v, want a validation fault", err)
	}
	return f.Fields
}

func TestBodiesWithoutASingleMeaningAreMalformed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, place, detail string }{
		"empty":                           {"", "line 1, column 1", "empty"},
		"only white space":                {" \r\n\t ", "line 2, column 3", "empty"},
		"a bare word":                     {"hello", "line 1, column 1", "a value was expected"},
		"a truncated word":                {"tru", "line 1, column 1", "a value was expected"},
		"a word in upper case":            {"NULL", "line 1, column 1", "a value was expected"},
		"a truncated object":              {`{"a":1`, "line 1, column 7", "ends too early"},
		"a truncated name":                {`{"a`, "line 1, column 4", "middle of a string"},
		"a truncated array":               {"[1,", "line 1, column 4", "ends too early"},
		"a truncated escape":              {`"\`, "line 1, column 2", "a backslash"},
		"a truncated unicode escape":      {`"\u00`, "line 1, column 2", "four hexadecimal digits"},
		"a truncated number":              {"-", "line 1, column 2", "ends too early"},
		"a second value":                  {"{} {}", "line 1, column 4", "only one value"},
		"a stray bracket":                 {"[]]", "line 1, column 3", "only one value"},
		"NUL after the value":             {"{}\x00", "line 1, column 3", "only one value"},
		"a byte order mark":               {"\xef\xbb\xbf{}", "line 1, column 1", "byte order mark"},
		"UTF-16 little endian":            {"{\x00}\x00", "line 1, column 1", "UTF-16"},
		"UTF-16 big endian":               {"\x00{\x00}", "line 1, column 1", "UTF-16"},
		"UTF-16 with a mark":              {"\xff\xfe{\x00}\x00", "line 1, column 1", "UTF-16"},
		"a line comment":                  {"{} // x", "line 1, column 4", "only one value"},
		"a block comment":                 {"[/* x */1]", "line 1, column 2", "a value was expected"},
		"a trailing comma in an array":    {"[1,]", "line 1, column 4", "a value was expected"},
		"a trailing comma in an object":   {`{"a":1,}`, "line 1, column 8", "a name in double quotes"},
		"a leading comma":                 {"[,1]", "line 1, column 2", "a value was expected"},
		"a missing comma":                 {"[1 2]", "line 1, column 4", "a comma or ]"},
		"a missing comma between members": {`{"a":1 "b":2}`, "line 1, column 8", "a comma or }"},
		"a missing colon":                 {`{"a" 1}`, "line 1, column 6", "a colon"},
		"the wrong bracket":               {"[1}", "line 1, column 3", "a comma or ]"},
		"a name without quotes":           {"{a:1}", "line 1, column 2", "a name in double quotes"},
		"a number as name":                {"{1:1}", "line 1, column 2", "a name in double quotes"},
		"single quotes":                   {"'a'", "line 1, column 1", "a value was expected"},
		"NaN":                             {"[NaN]", "line 1, column 2", "a value was expected"},
		"Infinity":                        {"-Infinity", "line 1, column 2", "a digit was expected"},
		"a leading zero":                  {"01", "line 1, column 1", "start with a zero"},
		"a negative leading zero":         {"-01", "line 1, column 1", "start with a zero"},
		"a plus sign":                     {"+1", "line 1, column 1", "a value was expected"},
		"no digit before the point":       {".5", "line 1, column 1", "a value was expected"},
		"no digit after the point":        {"[1.]", "line 1, column 4", "a digit was expected"},
		"no digit in the exponent":        {"[1e+]", "line 1, column 5", "a digit was expected"},
		"a hexadecimal number":            {"0x10", "line 1, column 2", "only one value"},
		"a raw NUL in a string":           {"[\"a\x00\"]", "line 1, column 4", "control character"},
		"a raw line feed in a string":     {"\"a\nb\"", "line 1, column 3", "control character"},
		"an unknown escape":               {`"\x41"`, "line 1, column 2", "a backslash"},
		"a bad unicode escape":            {`"\u00g0"`, "line 1, column 2", "four hexadecimal digits"},
		"a sign in a unicode escape":      {`"\u+123"`, "line 1, column 2", "four hexadecimal digits"},
		"a control in a unicode escape":   {"\"\\u00\x100\"", "line 1, column 2", "four hexadecimal digits"},
		"a lone high surrogate":           {`"\ud800"`, "line 1, column 2", "surrogate"},
		"a lone low surrogate":            {`"\uDC00"`, "line 1, column 2", "surrogate"},
		"surrogates in the wrong order":   {`"\udc00\ud800"`, "line 1, column 2", "surrogate"},
		"two high surrogates":             {`"\ud800\ud800"`, "line 1, column 2", "surrogate"},
		"a high surrogate before text":    {`"\ud800x"`, "line 1, column 2", "surrogate"},
		"a surrogate encoded as UTF-8":    {"\"\xed\xa0\x80\"", "line 1, column 2", "UTF-8"},
		"a byte that is not UTF-8":        {"{\n\"äö\": \"\xff\"}", "line 2, column 8", "UTF-8"},
		"an overlong encoding":            {"\"\xc0\x80\"", "line 1, column 2", "UTF-8"},
		"a name twice":                    {`{"a":1,"b":2,"a":3}`, "line 1, column 14", "twice"},
		"a name twice, escaped":           {`{"a":1,"\u0061":2}`, "line 1, column 8", "twice"},
		"a name twice, both escaped":      {`{"\u0061\n":1,"a\u000A":2}`, "line 1, column 15", "twice"},
		"a name twice, deep":              {`[{"x":[{"":1,"":1}]}]`, "line 1, column 14", "twice"},
		"a name twice among many":         {manyMembers(100, `"k7":0`), "line 1, column 792", "twice"},
		"33 arrays":                       {strings.Repeat("[", 33) + strings.Repeat("]", 33), "line 1, column 33", "too deep"},
		"33 objects":                      {strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), "line 1, column 161", "too deep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var report strictjson.Report
			_, err := strictjson.Parse([]byte(c.body), limits, &report)
			f, ok := fault.Of(err)
			if !ok || f.Kind != fault.Malformed || f.Code != "malformed-body" {
				t.Fatalf("Parse = %#v, want a malformed-body fault", err)
			}
			if !strings.Contains(f.Message, c.place+": ") || !strings.Contains(f.Message, c.detail) {
				t.Errorf("message = %q, want it to say %q and %q", f.Message, c.place, c.detail)
			}
		})
	}
}

func TestLegalOddities(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"null", "true", "false", "0", "-0", `""`, "[]", "{}", " \t\r\n1 \n", "[[],{}]", "-0.0e-0", "1E+2",
		strings.Repeat("[", 32) + strings.Repeat("]", 32),
		strings.Repeat("[[],", 31) + "[]" + strings.Repeat("]", 31), // closing gives depth back
		`{"a":{"a":{"a":1}},"A":1,"":1," ":1}`,
		`{"a":"", "\\u0061":1}`,
		manyMembers(1000, `"K7":0`),
		`"` + strings.Repeat("x", 64<<10) + `"`,
		`"?$1--'\";\u2028` + "\u2028\u2029\uffff\x7f😀" + `\ud83d\ude00"`,
		`"C:\\u0000dir"`, `"\\\\u0000"`,
		"9007199254740993", "-123456789012345678901234567890.5",
		"1.7976931348623157e308", "5e-324", "49406564584124654e-340", "0e1074", "0.0e-1074",
		strings.Repeat("9", 308), "0." + strings.Repeat("1", 16_383), "0." + strings.Repeat("1", 16_384) + "e1",
	} {
		if v := parse(t, body); v.Raw() != strings.Trim(body, " \t\r\n") {
			t.Errorf("Parse(%.80q).Raw() = %.80q", body, v.Raw())
		}
	}
}

func TestWhatCannotBeStoredIsAMistakeAtItsPlace(t *testing.T) {
	t.Parallel()
	const nul, outOfRange, tooFine = `must not contain the character \u0000`, "must be a number in the range of a double", "must have at most 16383 digits"
	for name, c := range map[string]struct{ body, pointer, detail string }{
		"NUL in the root":                 {`"\u0000"`, "", nul},
		"NUL in a member":                 {`{"payload":{"x":[0,"a\u0000b"]}}`, "/payload/x/1", nul},
		"NUL in a name":                   {`{"p":{"a\u0000":[]}}`, "/p/a\x00", nul},
		"NUL after a backslash":           {`"\\\u0000"`, "", nul},
		"names with ~ and /":              {`{"a~/b":{"":"\u0000"}}`, "/a~0~1b/", nul},
		"a name with escapes":             {`{"\u00e4\n":"\u0000"}`, "/ä\n", nul},
		"over the range":                  {"[1e309]", "/0", outOfRange},
		"over the range, negative":        {"-1e309", "", outOfRange},
		"over the range, written out":     {strings.Repeat("9", 310), "", outOfRange},
		"over the range of jsonb":         {"1e131071", "", outOfRange},
		"an exponent that overflows":      {"1e99999999999999999999", "", outOfRange},
		"an exponent that underflows":     {"0e-99999999999999999999", "", outOfRange},
		"zero with a huge exponent":       {"0e1075", "", outOfRange},
		"under the range":                 {"1e-324", "", outOfRange},
		"under the range, written out":    {"0." + strings.Repeat("0", 400) + "1", "", outOfRange},
		"under the range, not zero":       {"-0.0001e-321", "", outOfRange},
		"too many digits after the point": {"0." + strings.Repeat("1", 16_384), "", tooFine},
		"too many with the exponent":      {"0." + strings.Repeat("1", 16_383) + "e-1", "", tooFine},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mistakes(t, c.body)
			if len(got) != 1 || got[0].Pointer != c.pointer || !strings.HasPrefix(got[0].Detail, c.detail) {
				t.Errorf("mistakes of %.60q = %+v, want %q at %q", c.body, got, c.detail, c.pointer)
			}
		})
	}
}

func TestTextIsDecoded(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`""`: "", `"plain"`: "plain", `"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t", `"a\u00e4\u20ACz"`: "aä€z",
		`"\ud83d\ude00"`: "😀", `"\uD83D\uDE00!"`: "😀!", `"C:\\u0000dir"`: `C:\u0000dir`, `"\ufffd"`: "\ufffd",
		"1": "", "null": "",
	} {
		if got := parse(t, raw).Text(); got != want {
			t.Errorf("Text of %s = %q, want %q", raw, got, want)
		}
	}
}

func TestOnlyExactIntegersAreIntegers(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]int64{
		"0": 0, "-0": 0, "42": 42, "9007199254740993": 1<<53 + 1,
		"9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63,
	} {
		if got, ok := parse(t, raw).Int(); !ok || got != want {
			t.Errorf("Int of %s = %d, %t", raw, got, ok)
		}
	}
	for _, raw := range []string{"1.0", "1e0", "9223372036854775808", "-9223372036854775809", `"1"`, "null", "[1]", "true"} {
		if got, ok := parse(t, raw).Int(); ok {
			t.Errorf("Int of %s = %d, want none", raw, got)
		}
	}
}

func TestMembersAndElementsComeInOrderAndSkipWhatTheyHold(t *testing.T) {
	t.Parallel()
	v := parse(t, `{"z": [1, {"x": []}, "s"], "\u0061": {"q": {"r": 2}}, "m": null}`)
	var got []string
	for name, member := range v.Members() {
		got = append(got, fmt.Sprintf("%s=%s@%s#%d", name, member.Raw(), member.Pointer(), member.Len()))
		for element := range member.Elements() {
			got = append(got, fmt.Sprintf("%d:%s@%s", element.Kind(), element.Raw(), element.Pointer()))
		}
	}
	want := []string{
		`z=[1, {"x": []}, "s"]@/z#3`, "2:1@/z/0", `5:{"x": []}@/z/1`, `3:"s"@/z/2`,
		`a={"q": {"r": 2}}@/a#1`, "m=null@/m#0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for range v.Members() {
		break // stopping early must not panic
	}
	for range parse(t, "[1,2]").Elements() {
		break
	}
}

func TestTheTreeOutlivesTheCallersBuffer(t *testing.T) {
	t.Parallel()
	body := []byte(`{"a":"b"}`)
	var report strictjson.Report
	v, err := strictjson.Parse(body, limits, &report)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	if v.Raw() != `{"a":"b"}` {
		t.Errorf("Raw = %q after the buffer was reused", v.Raw())
	}
}

func TestHostileBodiesAreRefusedInBoundedTime(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	var report strictjson.Report
	if _, err := strictjson.Parse(bytes.Repeat([]byte("["), size), limits, &report); !fault.Is(err, "malformed-body") {
		t.Errorf("1 MiB of brackets: %v", err)
	}
	// Compared pair by pair, these names take 20 s and more.
	members, start := manyMembers(100_000, `"last":0`), time.Now()
	if v := parse(t, members); v.Len() != 100_001 {
		t.Errorf("100,000 members became %d", v.Len())
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("100,000 members took %s", took)
	}
	if v := parse(t, "["+strings.Repeat("0,", size/2)+"0]"); v.Len() != size/2+1 {
		t.Errorf("half a million elements became %d", v.Len())
	}
}

func manyMembers(n int, last string) string {
	var body strings.Builder
	body.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&body, `"k%d":0,`, i)
	}
	return body.String() + last + "}"
}
