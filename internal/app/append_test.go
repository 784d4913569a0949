package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// deep nests brackets inside an otherwise good event.
func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// TestBadBodiesAreRefusedAndStoreNothing is RELIABILITY's list of what a client
// can get wrong with the body of an append.
func TestBadBodiesAreRefusedAndStoreNothing(t *testing.T) {
	t.Parallel()
	a := start(t)
	good := event(uuid.New(), uuid.New(), "user.created", ada)
	with := func(field, value string) string { // the good event with one more field
		return strings.TrimSuffix(good, "}") + `,"` + field + `":` + value + "}"
	}
	payload := func(p string) string { return event(uuid.New(), uuid.New(), "user.created", p) }
	id := func(s string) string { return strings.Replace(good, good[7:43], s, 1) }
	repeated := event(uuid.New(), uuid.New(), "user.created", ada)
	for what, c := range map[string]struct {
		body   string
		status int
		code   string
		// pointer is where the mistake must be said to be; "-" is not checked.
		pointer string
	}{
		"empty":                     {" ", 400, "malformed-body", "-"},
		"null":                      {"null", 422, "validation-failed", ""},
		"a number":                  {"1", 422, "validation-failed", ""},
		"an empty object":           {"{}", 422, "validation-failed", "/id"},
		"truncated":                 {good[:len(good)-1], 400, "malformed-body", "-"},
		"trailing bytes":            {good + "x", 400, "malformed-body", "-"},
		"two values":                {good + good, 400, "malformed-body", "-"},
		"byte order mark":           {"\xef\xbb\xbf" + good, 400, "malformed-body", "-"},
		"UTF-16":                    {"\xff\xfe{\x00}\x00", 400, "malformed-body", "-"},
		"a comment":                 {"/* */" + good, 400, "malformed-body", "-"},
		"NaN":                       {payload(`{"name":NaN}`), 400, "malformed-body", "-"},
		"leading zero":              {with("expected_version", "01"), 400, "malformed-body", "-"},
		"duplicate key":             {with("id", `"x"`), 400, "malformed-body", "-"},
		"deep duplicate key":        {payload(`{"name":"a","email":"a@example.com","name":"b"}`), 400, "malformed-body", "-"},
		"escaped duplicate key":     {payload(`{"name":"a","n\u0061me":"b"}`), 400, "malformed-body", "-"},
		"invalid UTF-8":             {payload("{\"name\":\"\xff\"}"), 400, "malformed-body", "-"},
		"lone surrogate":            {payload(`{"name":"\ud800"}`), 400, "malformed-body", "-"},
		"33 levels":                 {with("metadata", `{"a":`+deep(31)+`}`), 400, "malformed-body", "-"},
		"wrong case":                {strings.Replace(good, `"id"`, `"ID"`, 1), 422, "validation-failed", "/ID"},
		"unknown field":             {with("extra", "1"), 422, "validation-failed", "/extra"},
		"position":                  {with("position", "1"), 422, "validation-failed", "/position"},
		"version":                   {with("version", "1"), 422, "validation-failed", "/version"},
		"recorded_at":               {with("recorded_at", `"2026-01-01T00:00:00Z"`), 422, "validation-failed", "/recorded_at"},
		"actor":                     {with("actor", `"root"`), 422, "validation-failed", "/actor"},
		"NUL in a string":           {payload(`{"name":"a\u0000b","email":"a@example.com"}`), 422, "validation-failed", "/payload/name"},
		"number over a double":      {with("metadata", `{"a":1e309}`), 422, "validation-failed", "/metadata/a"},
		"number that explodes":      {with("metadata", `{"a":1e131071}`), 422, "validation-failed", "/metadata/a"},
		"id in braces":              {id("{0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01}"), 422, "validation-failed", "/id"},
		"id as urn":                 {id("urn:uuid:0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"), 422, "validation-failed", "/id"},
		"id without hyphens":        {id("0193b7a24c1e7d608f7e1b1d1f6f0a01"), 422, "validation-failed", "/id"},
		"nil id":                    {id("00000000-0000-0000-0000-000000000000"), 422, "validation-failed", "/id"},
		"max id":                    {id("ffffffff-ffff-ffff-ffff-ffffffffffff"), 422, "validation-failed", "/id"},
		"unknown event":             {strings.Replace(good, "user.created", "user.promoted", 1), 422, "validation-failed", "/name"},
		"another domain's event":    {strings.Replace(good, "user.created", "payment.initiated", 1), 422, "validation-failed", "/name"},
		"payload is no object":      {payload(`[]`), 422, "validation-failed", "/payload"},
		"payload is null":           {payload(`null`), 422, "validation-failed", "/payload"},
		"missing payload field":     {payload(`{"name":"a"}`), 422, "validation-failed", "/payload/email"},
		"unknown payload field":     {payload(`{"name":"a","email":"a@example.com","age":1}`), 422, "validation-failed", "/payload/age"},
		"no address":                {payload(`{"name":"a","email":"nobody"}`), 422, "validation-failed", "/payload/email"},
		"empty name":                {payload(`{"name":"","email":"a@example.com"}`), 422, "validation-failed", "/payload/name"},
		"name of 201 characters":    {payload(`{"name":"` + strings.Repeat("é", 201) + `","email":"a@example.com"}`), 422, "validation-failed", "/payload/name"},
		"update of nothing":         {event(uuid.New(), uuid.New(), "user.updated", `{}`), 422, "validation-failed", "/payload"},
		"metadata is no object":     {with("metadata", `[]`), 422, "validation-failed", "/metadata"},
		"expected version -1":       {with("expected_version", "-1"), 422, "validation-failed", "/expected_version"},
		"expected version 2^31":     {with("expected_version", "2147483648"), 422, "validation-failed", "/expected_version"},
		"expected version a string": {with("expected_version", `"1"`), 422, "validation-failed", "/expected_version"},
		"expected version 1.0":      {with("expected_version", `1.0`), 422, "validation-failed", "/expected_version"},
		"skipped version":           {with("expected_version", "5"), 409, "version-conflict", "-"},
		"update of nobody":          {event(uuid.New(), uuid.New(), "user.updated", `{"name":"a"}`), 409, "aggregate-missing", "-"},
		"no events":                 {"[]", 422, "validation-failed", ""},
		"one id twice in an array":  {"[" + repeated + "," + repeated + "]", 422, "validation-failed", "/1/id"},
		"a mistake in an array":     {"[" + good + "," + payload(`{"name":"a","email":"x"}`) + "]", 422, "validation-failed", "/1/payload/email"},
		"1,001 events":              {"[" + strings.Repeat("{},", 1000) + "{}]", 413, "too-large", "-"},
		"a payload over 256 KiB":    {payload(`{"name":"` + strings.Repeat("a", 256<<10) + `"}`), 413, "too-large", "-"},
		"a body over 1 MiB":         {strings.Repeat(" ", 1<<20) + good, 413, "too-large", "-"},
	} {
		got := a.post(c.body)
		if got.status != c.status || got.code() != c.code {
			t.Errorf("%s: %d %s, want %d %s\n%s", what, got.status, got.code(), c.status, c.code, got.body)
			continue
		}
		var problem struct{ Errors []struct{ Pointer string } }
		got.into(t, &problem)
		named := c.pointer == "-"
		for _, e := range problem.Errors {
			named = named || e.Pointer == c.pointer
		}
		if !named {
			t.Errorf("%s: no mistake at %q in %s", what, c.pointer, got.body)
		}
	}
	var log struct{ Items []struct{} }
	a.get("/v1/events").into(t, &log)
	if len(log.Items) != 0 {
		t.Errorf("%d events were stored", len(log.Items))
	}
	if got := a.post(good); got.status != http.StatusCreated {
		t.Errorf("a good event after all this: %d %s", got.status, got.body)
	}
}

// TestLegalOdditiesReadBackExactly stores what looks strange and is allowed.
func TestLegalOdditiesReadBackExactly(t *testing.T) {
	t.Parallel()
	a := start(t)
	for what, payload := range map[string]string{
		"an escaped backslash":  `{"name":"C:\\u0000dir","email":"a@example.com"}`,
		"SQL":                   `{"name":"'; DROP TABLE events; -- $1 ? \"","email":"a@example.com"}`,
		"emoji and U+2028":      "{\"name\":\"\U0001F600\u2028\",\"email\":\"a@example.com\"}",
		"white space":           "{ \"name\" : \"a\" ,\n\t\"email\":\"a@example.com\" }",
		"escapes":               `{"name":"\ud83d\ude00\n\/","email":"a@example.com"}`,
		"name of 200 character": `{"name":"` + strings.Repeat("é", 200) + `","email":"a@example.com"}`,
	} {
		id := uuid.New()
		if got := a.post(event(id, uuid.New(), "user.created", payload)); got.status != http.StatusCreated {
			t.Errorf("%s: %d %s", what, got.status, got.body)
			continue
		}
		if got := a.get("/v1/events/" + id.String()); !strings.Contains(got.body, `"payload":`+strings.NewReplacer("\n", "", "\t", "").Replace(payload)) &&
			!strings.Contains(got.body, compact(payload)) {
			t.Errorf("%s: reads back as %s", what, got.body)
		}
	}
	number := `{"n":9007199254740993,"deep":` + deep(30) + `}`
	id := uuid.New()
	a.post(strings.TrimSuffix(event(id, id, "user.created", ada), "}") + `,"metadata":` + number + "}")
	if got := a.get("/v1/events/" + id.String()); !strings.Contains(got.body, "9007199254740993") {
		t.Errorf("2^53 + 1 reads back as %s", got.body)
	}
}

// compact takes the white space between tokens out; none of ours is in strings.
func compact(s string) string {
	return strings.NewReplacer(" : ", ":", " ,\n\t", ",", "{ ", "{", " }", "}").Replace(s)
}

func TestContentTypeAndEncodingAreChecked(t *testing.T) {
	t.Parallel()
	a := start(t)
	good := event(uuid.New(), uuid.New(), "user.created", ada)
	for _, header := range []string{"Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded", "Content-Encoding: gzip"} {
		if got := a.post(good, header); got.status != 415 || got.code() != "unsupported-media-type" {
			t.Errorf("%s: %d %s", header, got.status, got.body)
		}
	}
	if got := a.post(good, "Content-Type: application/json; charset=utf-8"); got.status != 201 {
		t.Errorf("with charset: %d %s", got.status, got.body)
	}
}

// TestAppendAnswers walks through the table of CONTRACT section 2.
func TestAppendAnswers(t *testing.T) {
	t.Parallel()
	a := start(t)
	id, user := uuid.New(), uuid.New()
	first := a.post(event(id, user, "user.created", ada))
	if first.status != 201 || first.header.Get("Location") != "/v1/events/"+id.String() || !strings.Contains(first.body, `"version":1,"position":1`) {
		t.Errorf("appended: %d %v %s", first.status, first.header, first.body)
	}
	again := a.post(event(id, user, "user.created", `{"email":"ada@example.com", "name":"Ada \u004covelace"}`))
	if want := strings.Replace(first.body, "false", "true", 1); again.status != 200 || again.body != want {
		t.Errorf("repeated: %d %s, want %s", again.status, again.body, want)
	}
	for what, c := range map[string]struct {
		body, header string
		status       int
		code         string
		current      string
	}{
		"reused id":             {event(id, user, "user.created", `{"name":"B","email":"b@example.com"}`), "", 422, "event-id-reused", ""},
		"creating twice":        {event(uuid.New(), user, "user.created", ada), "", 409, "aggregate-exists", `"current_version":1`},
		"If-Match differs":      {event(uuid.New(), user, "user.updated", `{"name":"B"}`), `If-Match: "3"`, 412, "version-conflict", `"current_version":1`},
		"If-Match is malformed": {event(uuid.New(), user, "user.updated", `{"name":"B"}`), `If-Match: 1`, 400, "bad-parameter", ""},
		"If-Match for several": {
			"[" + event(uuid.New(), user, "user.updated", `{"name":"B"}`) + "," + event(uuid.New(), uuid.New(), "user.created", ada) + "]",
			`If-Match: "1"`, 400, "bad-parameter", "",
		},
		"expected version differs": {
			strings.Replace(event(uuid.New(), user, "user.updated", `{"name":"B"}`), "{", `{"expected_version":4,`, 1), "", 409, "version-conflict", `"current_version":1`,
		},
	} {
		headers := []string{}
		if c.header != "" {
			headers = append(headers, c.header)
		}
		got := a.post(c.body, headers...)
		if got.status != c.status || got.code() != c.code || !strings.Contains(got.body, c.current) {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
		if got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: content type %s", what, got.header.Get("Content-Type"))
		}
	}
	pair := "[" + event(uuid.New(), user, "user.updated", `{"name":"B"}`) + "," + event(uuid.New(), user, "user.deleted", `{}`) + "]"
	if got := a.post(pair, `If-Match: "1"`); got.status != 201 || !strings.HasPrefix(got.body, `{"events":[{`) || !strings.Contains(got.body, `"version":3,"position":3`) {
		t.Errorf("array: %d %s", got.status, got.body)
	}
	if got := a.post(pair); got.status != 200 || strings.Count(got.body, `"duplicate":true`) != 2 {
		t.Errorf("array again: %d %s", got.status, got.body)
	}
	if got := a.post(event(uuid.New(), user, "user.updated", `{"name":"C"}`)); got.status != 409 || got.code() != "aggregate-deleted" {
		t.Errorf("after the end: %d %s", got.status, got.body)
	}
}

// TestAnArrayIsAllOrNothing refuses a good event for the sake of a bad one, and
// takes the rest of an array whose first half is known.
func TestAnArrayIsAllOrNothing(t *testing.T) {
	t.Parallel()
	a := start(t)
	var good []string
	for range 1000 {
		good = append(good, event(uuid.New(), uuid.New(), "user.created", `{"name":"A","email":"a@example.com"}`))
	}
	bad := event(uuid.New(), uuid.New(), "user.updated", `{"name":"B"}`)
	if got := a.post("[" + good[0] + "," + bad + "]"); got.status != 409 {
		t.Errorf("%d %s", got.status, got.body)
	}
	var log struct{ Items []struct{} }
	if a.get("/v1/events").into(t, &log); len(log.Items) != 0 {
		t.Errorf("half an array was stored")
	}
	if got := a.post("[" + strings.Join(good[:500], ",") + "]"); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	got := a.post("[" + strings.Join(good, ",") + "]")
	if got.status != 201 || strings.Count(got.body, `"duplicate":true`) != 500 || strings.Count(got.body, `"duplicate":false`) != 500 {
		t.Errorf("half known: %d with %d duplicates", got.status, strings.Count(got.body, `"duplicate":true`))
	}
	if !strings.Contains(got.body, fmt.Sprintf(`"position":%d,`, 1000)) {
		t.Errorf("the last position is not 1000")
	}
}
