package app_test

import (
	"encoding/binary"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/uuid"
)

// inUTF16 encodes text as a client does that was told to use Unicode.
func inUTF16(text string, order binary.AppendByteOrder) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

func TestABodyThatIsNotJSONIsRefused(t *testing.T) {
	t.Parallel()
	a := start(t)
	good := someone()
	meta := func(value string) string { return someone(`"metadata":{"a":` + value + `}`) }
	bodies := map[string]string{
		"empty": "", "white space": " \r\n\t", "a form feed": "\f" + good,
		"trailing bytes": good + "x", "trailing NUL": good + "\x00", "two values": good + good, "two lines": good + "\n" + good,
		"byte order mark": "\xef\xbb\xbf" + good, "a mark in the middle": "{\xef\xbb\xbf" + good[1:],
		"UTF-16 LE": inUTF16(good, binary.LittleEndian), "UTF-16 BE": inUTF16(good, binary.BigEndian),
		"UTF-16 LE with mark": "\xff\xfe" + inUTF16(good, binary.LittleEndian), "UTF-16 BE with mark": "\xfe\xff" + inUTF16(good, binary.BigEndian),
		"a block comment": "/* */" + good, "a line comment": good + "// well", "a comment inside": "{/**/" + good[1:],
		"a hash comment": "# well\n" + good, "single quotes": strings.ReplaceAll(good, `"`, `'`), "bare names": strings.ReplaceAll(good, `"id"`, `id`),
		"a trailing comma": strings.TrimSuffix(good, "}") + ",}", "two commas": strings.Replace(good, ",", ",,", 1), "no comma": strings.Replace(good, ",", " ", 1),
		"no colon": strings.Replace(good, ":", " ", 1), "a trailing comma in an array": "[" + good + ",]", "an array left open": "[" + good,
		"NaN": meta("NaN"), "Infinity": meta("Infinity"), "-Infinity": meta("-Infinity"), "undefined": meta("undefined"), "None": meta("None"), "TRUE": meta("TRUE"),
		"01": meta("01"), "-01": meta("-01"), "+1": meta("+1"), ".5": meta(".5"), "1.": meta("1."), "1e": meta("1e"), "1e+": meta("1e+"), "-": meta("-"), "0x10": meta("0x10"), "1_000": meta("1_000"), "--1": meta("--1"),
		"a duplicate key": someone(`"id":"x"`), "an escaped duplicate key": someone(`"i\u0064":"x"`), "a duplicate key that is equal": someone(`"name":"user.created"`),
		"a duplicate key in the payload":   created(`{"name":"a","email":"a@example.com","name":"b"}`),
		"a duplicate key in metadata":      meta(`{"b":1,"b":1}`),
		"a duplicate key 30 levels down":   meta(strings.Repeat(`{"b":`, 29) + `{"c":1,"c":2}` + strings.Repeat("}", 29)),
		"a duplicate key in an array":      meta(`[[{"c":1,"c":2}]]`),
		"a duplicate key among many":       meta(`{` + manyKeys(1000) + `,"k500":0}`),
		"a duplicate empty key":            meta(`{"":1,"":2}`),
		"invalid UTF-8":                    created("{\"name\":\"\xff\"}"),
		"a cut off character":              created("{\"name\":\"\xc3\"}"),
		"an overlong NUL":                  created("{\"name\":\"\xc0\x80\"}"),
		"a surrogate in UTF-8":             created("{\"name\":\"\xed\xa0\x80\"}"),
		"beyond Unicode":                   created("{\"name\":\"\xf4\x90\x80\x80\"}"),
		"invalid UTF-8 in a key":           meta("{\"\xff\":1}"),
		"a lone high surrogate":            created(`{"name":"\ud800"}`),
		"a lone low surrogate":             created(`{"name":"\udc00"}`),
		"surrogates the wrong way round":   created(`{"name":"\udc00\ud800"}`),
		"a high surrogate before a letter": created(`{"name":"\ud800\u0041"}`),
		"a lone surrogate in a key":        meta(`{"\ud800":1}`),
		"a raw line feed in a string":      created("{\"name\":\"a\nb\"}"),
		"a raw NUL in a string":            created("{\"name\":\"a\x00b\"}"),
		"a raw tab in a string":            created("{\"name\":\"a\tb\"}"),
		"an unknown escape":                created(`{"name":"\x41"}`),
		"a short escape":                   created(`{"name":"\u12"}`),
		"a string left open":               `{"id":"`,
		"a backslash at the end":           `{"id":"\`,
		"33 levels":                        meta(nested(31)),
		"33 levels of objects":             meta(strings.Repeat(`{"b":`, 31) + "1" + strings.Repeat("}", 31)),
		"half a million brackets":          strings.Repeat("[", 500_000),
		"a quarter million objects":        strings.Repeat(`{"":`, 250_000),
		"a form":                           "id=1&name=user.created",
		"XML":                              "<event/>",
		"gzip without saying so":           "\x1f\x8b\x08\x00\x00\x00\x00\x00",
		"a multipart body":                 "--x\r\nContent-Disposition: form-data\r\n\r\n{}\r\n--x--",
		"a protocol buffer":                "\x0a\x03abc\x10\x01",
		"a literal cut short":              "nul",
		"a number and a letter":            "1a",
	}
	for i := range good { // whatever is cut off, nothing is taken
		if i > 0 {
			bodies["cut after "+good[:i]] = good[:i]
		}
	}
	sends := make(map[string]string)
	for what, body := range bodies {
		sends[what] = appending(body)
	}
	a.refuses(t, refused(400, "malformed-body", sends))
	a.works(t)
}

// manyKeys is so many members of an object.
func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"k` + strconv.Itoa(i) + `":` + strconv.Itoa(i))
	}
	return b.String()
}

func TestABodyThatBreaksTheRulesIsRefusedWithEveryMistake(t *testing.T) {
	t.Parallel()
	a := start(t)
	good, twice := someone(), someone()
	meta := func(value string) string { return someone(`"metadata":` + value) }
	version := func(v string) string { return someone(`"expected_version":` + v) }
	rename := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	var cases []bad
	check := func(what, body, pointers string) {
		cases = append(cases, bad{what: what, send: appending(body), status: 422, code: "validation-failed", pointers: pointers})
	}
	for _, scalar := range []string{"null", "true", "false", "0", "-1.5e3", `""`, `"user.created"`} {
		check(scalar, scalar, "")
		check("an array of "+scalar, "["+scalar+"]", "/0")
	}
	check("an empty object", "{}", "/id /aggregate_id /name /payload")
	check("an array of arrays", "[[]]", "/0")
	check("no events", "[]", "")
	check("all wrong at once", `{"id":1,"aggregate_id":null,"name":true,"payload":[],"expected_version":"1","metadata":0,"extra":{},"position":1}`,
		"/id /aggregate_id /name /payload /expected_version /metadata /extra /position")
	for _, field := range []string{"id", "aggregate_id", "name", "payload"} {
		check("no "+field, withoutField(good, field), "/"+field)
		upper := strings.ToUpper(field[:1]) + field[1:]
		check("wrong case of "+field, rename(quoted(field)+":", quoted(upper)+":"), wrongCase(field, upper))
	}
	check("wrong case in the payload", created(`{"Name":"a","email":"a@example.com"}`), "/payload/name /payload/Name")
	check("an unknown field", someone(`"extra":1`), "/extra")
	check("a field with a strange name", someone(`"a/b~c":1`), "/a~1b~0c")
	check("a field without a name", someone(`"":1`), "/")
	for _, reserved := range []string{"position", "version", "recorded_at", "actor", "aggregate", "schema_version"} {
		check("a field of the server's: "+reserved, someone(quoted(reserved)+`:1`), "/"+reserved)
	}
	check("NUL in a string", created(`{"name":"a\u0000b","email":"a@example.com"}`), "/payload/name")
	check("NUL in an id", strings.Replace(good, good[7:43], `\u0000`+good[8:43], 1), "/id")
	check("NUL in metadata", meta(`{"a":["\u0000"]}`), "/metadata/a/0")
	check("NUL in a key", meta(`{"a\u0000":1}`), "/metadata/a\x00")
	for _, number := range []string{"1e309", "-1e309", "1e131071", "-1e131071", "1e131073", "1e999999999999", "1e-131073", "1e-400", "123456789" + strings.Repeat("0", 400)} {
		check("a number of "+strconv.Itoa(len(number))+" characters, "+number[:5], meta(`{"a":`+number+`}`), "/metadata/a")
	}
	for what, id := range map[string]string{
		"in braces": `"{0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01}"`, "a urn": `"urn:uuid:0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"`,
		"without hyphens": `"0193b7a24c1e7d608f7e1b1d1f6f0a01"`, "nil": quoted(uuid.Nil.String()), "max": quoted(uuid.Max.String()),
		"upper case max": quoted(strings.ToUpper(uuid.Max.String())), "empty": `""`, "a word": `"nonsense"`, "cut": `"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a0"`,
		"too long": `"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a011"`, "no hexadecimal": `"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0g01"`,
		"with a space": `" 0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"`, "hyphens elsewhere": `"0193b7a24-c1e-7d60-8f7e-1b1d1f6f0a01"`,
		"in full width": `"０193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"`, "a number": `1`, "null": `null`, "an object": `{}`, "an array": `[]`, "true": `true`,
	} {
		check("an id that is "+what, `{"id":`+id+`,`+good[strings.Index(good, `"aggregate_id"`):], "/id")
		check("an aggregate's id that is "+what, strings.Replace(good, aggregateOf(good), id, 1), "/aggregate_id")
	}
	for what, name := range map[string]string{
		"unknown": `"user.promoted"`, "of another domain": `"payment.initiated"`, "of the server's": `"user.reverted"`, "in capitals": `"User.Created"`,
		"with a space": `"user.created "`, "empty": `""`, "SQL": `"'; DROP TABLE events; --"`, "very long": quoted(strings.Repeat("x", 64<<10)), "a number": "1", "null": "null", "an array": "[]",
	} {
		check("a name that is "+what, rename(`"user.created"`, name), "/name")
	}
	for what, v := range map[string]string{
		"-1": "-1", "2^31": "2147483648", "2^63": "9223372036854775808", "a string": `"1"`, "1.0": "1.0", "1e0": "1e0", "-0.5": "-0.5", "null": "null", "true": "true", "an array": "[0]",
	} {
		check("an expected version of "+what, version(v), "/expected_version")
	}
	for what, m := range map[string]string{"an array": "[]", "null": "null", "a string": `"x"`, "a number": "1"} {
		check("metadata that is "+what, meta(m), "/metadata")
	}
	check("a correlation id that is a number", meta(`{"correlation_id":1}`), "/metadata/correlation_id")
	check("an empty correlation id", meta(`{"correlation_id":"","causation_id":[]}`), "/metadata/correlation_id /metadata/causation_id")
	for what, p := range map[string]string{"an array": "[]", "null": "null", "a string": `"x"`, "a number": "1", "true": "true"} {
		check("a payload that is "+what, created(p), "/payload")
	}
	for what, c := range map[string]struct{ payload, pointers string }{
		"empty":                  {`{}`, "/payload/name /payload/email"},
		"without email":          {`{"name":"a"}`, "/payload/email"},
		"with another field":     {`{"name":"a","email":"a@example.com","age":1}`, "/payload/age"},
		"with null":              {`{"name":null,"email":null}`, "/payload/name /payload/email"},
		"with numbers":           {`{"name":1,"email":2}`, "/payload/name /payload/email"},
		"with no address":        {`{"name":"a","email":"nobody"}`, "/payload/email"},
		"with a named address":   {`{"name":"a","email":"A <a@example.com>"}`, "/payload/email"},
		"with two addresses":     {`{"name":"a","email":"a@example.com,b@example.com"}`, "/payload/email"},
		"with an address of 255": {`{"name":"a","email":"` + strings.Repeat("a", 60) + "@" + strings.Repeat("b", 190) + `.com"}`, "/payload/email"},
		"with an empty name":     {`{"name":"","email":"a@example.com"}`, "/payload/name"},
		"with a name of 201":     {`{"name":"` + strings.Repeat("é", 201) + `","email":"a@example.com"}`, "/payload/name"},
		"with a name of 64 KiB":  {`{"name":"` + strings.Repeat("a", 64<<10) + `","email":"a@example.com"}`, "/payload/name"},
	} {
		check("a payload "+what, created(c.payload), c.pointers)
	}
	check("a payload with 1,000 unknown keys", created(`{`+manyKeys(1000)+`}`), pointersOfMany(100))
	check("an update of nothing", event(uuid.New(), uuid.New(), "user.updated", `{}`), "/payload")
	check("one id twice in an array", "["+twice+","+twice+"]", "/1/id")
	check("one id twice in an array, in another case", "["+twice+","+strings.Replace(twice, twice[7:43], strings.ToUpper(twice[7:43]), 1)+"]", "/1/id")
	check("two mistakes in an array", "["+good+","+created(`{"name":"a","email":"x"}`)+",{}]", "/1/payload/email /2/id /2/aggregate_id /2/name /2/payload")
	a.refuses(t, cases)
	a.works(t)
}

// Versions and aggregates are decided by the database: nothing is stored there
// either.
func TestAnEventThatDoesNotFitTheLogIsRefused(t *testing.T) {
	t.Parallel()
	a := start(t)
	user, payment, known := a.create(ada), uuid.New(), uuid.New()
	a.decided(payment, "process", "k", paying(uuid.New(), "1.00", "USD", "wallet"))
	a.post(event(known, uuid.New(), "user.created", ada))
	gone := a.create(ada)
	a.post(event(uuid.New(), gone, "user.deleted", `{}`), "Prefer: wait=10")
	update := func(id uuid.UUID, more string) string {
		return strings.TrimSuffix(event(uuid.New(), id, "user.updated", `{"name":"B"}`), "}") + more + "}"
	}
	var cases []bad
	check := func(what, body string, status int, code, pointer string, headers ...string) {
		cases = append(cases, bad{what: what, send: appending(body, headers...), status: status, code: code, pointers: pointer})
	}
	check("a version of 0 that is not", update(user, `,"expected_version":0`), 409, "version-conflict", "/expected_version")
	check("a skipped version", update(user, `,"expected_version":2`), 409, "version-conflict", "/expected_version")
	check("the greatest version", update(user, `,"expected_version":2147483647`), 409, "version-conflict", "/expected_version")
	check("a skipped version of nobody", someone(`"expected_version":5`), 409, "version-conflict", "/expected_version")
	check("a taken version", about(user, `"expected_version":0`), 409, "version-conflict", "/expected_version")
	check("a version in If-Match", update(user, ""), 412, "version-conflict", "/aggregate_id", `If-Match: "7"`)
	check("a creation of what exists", about(user), 409, "aggregate-exists", "/aggregate_id")
	check("an update of nobody", update(uuid.New(), ""), 409, "aggregate-missing", "/aggregate_id")
	check("an update of the deleted", update(gone, ""), 409, "aggregate-deleted", "/aggregate_id")
	check("a creation of the deleted", about(gone), 409, "aggregate-deleted", "/aggregate_id")
	check("a creation of a payment", about(payment), 409, "aggregate-exists", "/aggregate_id")
	check("an update of a payment", update(payment, ""), 409, "aggregate-missing", "/aggregate_id")
	check("a deletion of a payment", event(uuid.New(), payment, "user.deleted", `{}`), 409, "aggregate-missing", "/aggregate_id")
	check("a known id with another payload", event(known, uuid.New(), "user.created", `{"name":"B","email":"b@example.com"}`), 422, "event-id-reused", "/id")
	check("a known id of another aggregate", event(known, uuid.New(), "user.created", ada), 422, "event-id-reused", "/id")
	check("good events before a bad one", "["+someone()+","+someone()+","+update(uuid.New(), "")+"]", 409, "aggregate-missing", "/2/aggregate_id")
	check("good events after a bad one", "["+update(uuid.New(), "")+","+someone()+"]", 409, "aggregate-missing", "/0/aggregate_id")
	check("a creation twice in an array", "["+about(known)+","+about(known)+"]", 409, "aggregate-exists", "/1/aggregate_id")
	check("one in an array", "["+update(user, `,"expected_version":2`)+"]", 409, "version-conflict", "/0/expected_version")
	check("a wrong version after a good one", "["+update(user, "")+","+update(user, `,"expected_version":1`)+"]", 409, "version-conflict", "/1/expected_version")
	check("a wrong version after a good one, with If-Match", "["+update(user, "")+","+update(user, `,"expected_version":1`)+"]", 409, "version-conflict", "/1/expected_version", `If-Match: "1"`)
	check("an array for another version", "["+update(user, "")+","+update(user, "")+"]", 412, "version-conflict", "/0/aggregate_id", `If-Match: "7"`)
	check("a known id in an array", "["+someone()+","+event(known, uuid.New(), "user.created", ada)+"]", 422, "event-id-reused", "/1/id")
	check("an array that goes on after the end", "["+event(uuid.New(), user, "user.deleted", `{}`)+","+update(user, "")+"]", 409, "aggregate-deleted", "/1/aggregate_id")
	a.refuses(t, cases)
	a.works(t)
}

// wrongCase is where the mistakes of a field in the wrong case are.
func wrongCase(field, upper string) string {
	// What is missing stands where its object begins.
	return "/" + field + " /" + upper
}

func aggregateOf(e string) string {
	at := strings.Index(e, `"aggregate_id":`) + len(`"aggregate_id":`)
	return e[at : at+38]
}

// withoutField takes a field out of a good event.
func withoutField(e, field string) string {
	at := strings.Index(e, quoted(field)+":")
	end := strings.Index(e[at:], `,"`)
	if field == "payload" {
		return e[:at-1] + "}"
	}
	return e[:at] + e[at+end+1:]
}

// pointersOfMany is where the answer stops counting mistakes.
func pointersOfMany(n int) string {
	var all []string
	for i := range n {
		all = append(all, "/payload/k"+strconv.Itoa(i))
	}
	return strings.Join(all, " ") + " "
}
