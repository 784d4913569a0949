package schema_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"onepg/internal/fault"
	"onepg/internal/schema"
	"onepg/internal/strictjson"
)

type created struct {
	Name  string `json:"name" minLength:"1" maxLength:"5" doc:"What people call them." example:"Ada"`
	Email string `json:"email" format:"email" maxLength:"254"`
}

type updated struct {
	Name  *string `json:"name,omitempty" minLength:"1"`
	Email string  `json:"email,omitempty" format:"email"`
}

// everything has a field for each rule, all but one of them optional.
type everything struct {
	Must    bool            `json:"must"`
	Pointer *string         `json:"pointer"`
	Zero    int             `json:"zero,omitzero" minimum:"-2" maximum:"9007199254740991"`
	Small   int32           `json:"small,omitempty"`
	Big     int64           `json:"big,omitempty"`
	Ratio   float64         `json:"ratio,omitempty"`
	Enum    string          `json:"enum,omitempty" enum:"red,green"`
	Amount  string          `json:"amount,omitempty" pattern:"^[0-9]+\\.[0-9]{2}$" patternDescription:"a decimal with two digits after the point"`
	Code    string          `json:"code,omitempty" pattern:"^[A-Z]+$" maxLength:"3"`
	UUID    string          `json:"uuid,omitempty" format:"uuid"`
	ID      uuid.UUID       `json:"id,omitzero"`
	Date    string          `json:"date,omitempty" format:"date"`
	At      time.Time       `json:"at,omitzero"`
	Tags    []string        `json:"tags,omitempty" minItems:"1" maxItems:"2" minLength:"2"`
	Lines   []line          `json:"lines,omitempty"`
	Line    *line           `json:"line,omitempty" minProperties:"1"`
	Any     json.RawMessage `json:"any,omitempty"`
	Note    *string         `json:"note,omitempty" nullable:"true"`
	Free    string          `json:"free" required:"false"`
	Ignored string          `json:"-"`
	hidden  string
}

type line struct {
	Text string `json:"text,omitempty"`
	To   *to    `json:"to,omitempty"`
}

type to struct {
	Street string `json:"street"`
}

func compile[T any](tb testing.TB, opts ...schema.Option) *schema.Schema {
	tb.Helper()
	s, err := schema.Compile(reflect.TypeFor[T](), opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *schema.Schema, body string) []fault.Field {
	t.Helper()
	var report strictjson.Report
	v, err := strictjson.Parse([]byte(body), strictjson.Limits{MaxDepth: 32}, &report)
	if err != nil {
		t.Fatal(err)
	}
	s.Validate(v, &report)
	f, _ := fault.Of(report.Err())
	if f == nil {
		return nil
	}
	return f.Fields
}

func TestAllMistakesAreReportedInTheOrderOfTheBody(t *testing.T) {
	t.Parallel()
	s := compile[created](t, schema.Named("user.created"))
	for body, want := range map[string][]fault.Field{
		`{"name":"Ada","email":"ada@example.com"}`:   nil,
		`{"email":"ada@example.com","name":"äöü😀ß"}`: nil,
		`{"name":"äöü😀ßx","Email":"a","é/~":1}`: {
			{Pointer: "/email", Detail: "is required"},
			{Pointer: "/name", Detail: "must have at most 5 characters"},
			{Pointer: "/Email", Detail: "is not a field of user.created; case matters: email"},
			{Pointer: "/é~1~0", Detail: "is not a field of user.created"},
		},
		`null`: {{Detail: "must not be null"}},
		`[]`:   {{Detail: "must be an object"}},
		`{}`:   {{Pointer: "/name", Detail: "is required"}, {Pointer: "/email", Detail: "is required"}},
		`{"name":"","email":null}`: {
			{Pointer: "/name", Detail: "must have at least 1 character"},
			{Pointer: "/email", Detail: "must not be null"},
		},
		`{"name":"a\u0000","email":1e999}`: {
			{Pointer: "/name", Detail: `must not contain the character \u0000`},
			{Pointer: "/email", Detail: "must be a number in the range of a double: not over 1.7976931348623157e308 in size, not closer to zero than 5e-324, exponent at most 1074"},
			{Pointer: "/email", Detail: "must be a string"},
		},
	} {
		if diff := cmp.Diff(want, validate(t, s, body)); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

func TestAChangeMustChangeSomething(t *testing.T) {
	t.Parallel()
	s := compile[updated](t, schema.Named("user.updated"), schema.MinProperties(1))
	for body, want := range map[string]string{
		`{"name":"Ada"}`:              "",
		`{"email":"ada@example.com"}`: "",
		`{}`:                          " must have at least one of name, email",
		`{"name":null}`:               "/name must not be null",
	} {
		if got := first(validate(t, s, body)); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	two := compile[updated](t, schema.MinProperties(2))
	if got := first(validate(t, two, `{"name":"Ada"}`)); got != " must have at least 2 of name, email" {
		t.Errorf("one of two: %q", got)
	}
}

func first(fields []fault.Field) string {
	if len(fields) == 0 {
		return ""
	}
	return fields[0].Pointer + " " + fields[0].Detail
}

func TestEachRuleAcceptsAndRefuses(t *testing.T) {
	t.Parallel()
	s := compile[everything](t)
	_ = everything{}.hidden // JSON does not see it, and neither must the rules
	const (
		wantedInteger = " must be an integer, written without fraction and exponent"
		wantedUUID    = " must be a UUID in canonical form, neither nil nor max"
		wantedTime    = " must be a time as 2006-01-31T15:04:05Z (RFC 3339)"
		id            = "0193B7A2-4c1e-7d60-8f7e-1b1d1f6f0a01"
	)
	for member, want := range map[string]string{
		`"must":false`: "", `"must":1`: "/must must be true or false", `"must":null`: "/must must not be null",
		`"pointer":"x"`: "", `"pointer":null`: "/pointer must not be null", `"note":null`: "", `"note":2`: "/note must be a string",
		`"zero":-2`: "", `"zero":-3`: "/zero must be at least -2", `"zero":9007199254740992`: "/zero must be at most 9007199254740991",
		`"zero":1.0`: "/zero" + wantedInteger, `"zero":1e0`: "/zero" + wantedInteger, `"zero":"1"`: "/zero" + wantedInteger,
		`"small":2147483647`: "", `"small":2147483648`: "/small must be at most 2147483647", `"small":-2147483649`: "/small must be at least -2147483648",
		`"big":9223372036854775807`: "", `"big":9223372036854775808`: "/big must be at most 9223372036854775807",
		`"big":-9223372036854775809`: "/big must be at least -9223372036854775808",
		`"ratio":0.5`:                "", `"ratio":"0.5"`: "/ratio must be a number",
		`"enum":"green"`: "", `"enum":"Green"`: "/enum must be one of red, green",
		`"amount":"10.00"`: "", `"amount":"10"`: "/amount must be a decimal with two digits after the point", `"amount":10`: "/amount must be a string",
		`"code":"ABC"`: "", `"code":"ABc"`: "/code must match the pattern ^[A-Z]+$", `"code":"ABCD"`: "/code must have at most 3 characters",
		`"uuid":"` + id + `"`: "", `"uuid":"{` + id + `}"`: "/uuid" + wantedUUID, `"id":"` + id + `"`: "", `"id":""`: "/id" + wantedUUID,
		`"date":"2024-02-29"`: "", `"date":"2023-02-29"`: "/date must be a date as 2006-01-31", `"date":"0000-01-01"`: "/date must be a date as 2006-01-31",
		`"at":"2026-11-21T03:04:05.123456+02:00"`: "", `"at":"2026-11-21T03:04:05,1Z"`: "/at" + wantedTime,
		`"at":"2026-11-21T03:04:05+24:00"`: "/at" + wantedTime, `"at":"2026-11-21T03:04:05+01:60"`: "/at" + wantedTime, `"at":"2026-11-21T03:04:05z"`: "/at" + wantedTime,
		`"at":"2026-11-21T3:04:05Z"`: "/at" + wantedTime, `"at":"2026-11-21 03:04:05Z"`: "/at" + wantedTime,
		`"at":"0000-01-01T00:00:00Z"`: "/at" + wantedTime, `"at":"2026-11-21"`: "/at" + wantedTime,
		`"tags":["ab","cd"]`: "", `"tags":[]`: "/tags must have at least 1 item", `"tags":["ab","cd","ef"]`: "/tags must have at most 2 items",
		`"tags":["ab","c"]`: "/tags/1 must have at least 2 characters", `"tags":"ab"`: "/tags must be an array", `"tags":null`: "/tags must not be null",
		`"lines":[]`: "", `"lines":[{"to":{"street":"x"}},{"to":{}}]`: "/lines/1/to/street is required", `"lines":[{"txt":""}]`: "/lines/0/txt is not a known field",
		`"line":{"text":""}`: "", `"line":{}`: "/line must have at least one of text, to",
		`"any":[null,{"a":1e2}]`: "", `"any":null`: "",
		`"Ignored":""`: "/Ignored is not a known field", `"hidden":""`: "/hidden is not a known field", `"-":""`: "/- is not a known field",
	} {
		body := "{" + member + "}"
		if !strings.HasPrefix(member, `"must"`) {
			body = `{"must":true,` + member + "}"
		}
		if got := first(validate(t, s, body)); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestEmailIsABareAddress(t *testing.T) {
	t.Parallel()
	s := compile[struct {
		Email string `json:"email" format:"email"`
	}](t)
	label := strings.Repeat("x", 63) + "."
	for address, want := range map[string]bool{
		"ada@example.com": true, "a.d+a@sub.example.co": true, "o'hara@example.com": true, `"ada l"@example.com`: true, "ada@localhost": true,
		"ä@exämple.com": true,
		"a@" + strings.Repeat(label, 3) + strings.Repeat("x", 60): true,  // 254 bytes
		"a@" + strings.Repeat(label, 3) + strings.Repeat("x", 61): false, // 255
		"": false, "ada": false, "@example.com": false, "ada@": false, "ada@@example.com": false, "ada..l@example.com": false,
		"<ada@example.com>": false, "Ada <ada@example.com>": false, "ada@example.com (Ada)": false, "(Ada) ada@example.com": false,
		" ada@example.com": false, "ada@example.com ": false, "a@example.com,b@example.com": false, "ada l@example.com": false,
		"ada@example.com\r\nBcc: b@example.com": false,
	} {
		encoded, err := json.Marshal(map[string]string{"email": address})
		if err != nil {
			t.Fatal(err)
		}
		if got := validate(t, s, string(encoded)) == nil; got != want {
			t.Errorf("%q accepted: %t, want %t", address, got, want)
		}
	}
}

func TestIDsAreReadInCanonicalFormOnly(t *testing.T) {
	t.Parallel()
	const id = "0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"
	for s, want := range map[string]bool{
		id: true, strings.ToUpper(id): true, "00000000-0000-0000-0000-000000000001": true,
		"f47ac10b-58cc-4372-a567-0e02b2c3d479": true,
		"":                                     false, "{" + id + "}": false, "urn:uuid:" + id: false, strings.ReplaceAll(id, "-", ""): false,
		"00000000-0000-0000-0000-000000000000": false, "ffffffff-ffff-ffff-ffff-ffffffffffff": false, "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF": false,
		id + " ": false, " " + id[1:]: false, id[:35]: false, id[:35] + "g": false, "0193b7a24-c1e-7d60-8f7e-1b1d1f6f0a01": false,
	} {
		got, ok := schema.ParseUUID(s)
		if ok != want || ok && got.String() != strings.ToLower(s) {
			t.Errorf("ParseUUID(%q) = %s, %t", s, got, ok)
		}
	}
}
