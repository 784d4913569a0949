package app_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// What looks strange and is allowed is stored to the byte and answered as it
// was sent, without the white space between tokens.
func TestLegalOdditiesReadBackExactly(t *testing.T) {
	t.Parallel()
	a := start(t)
	db := connect(t, a.database)
	name := func(n string) string { return `{"name":"` + n + `","email":"a@example.com"}` }
	email := func(e string) string { return `{"name":"a","email":"` + e + `"}` }
	for what, payload := range map[string]string{
		"an escaped backslash":         name(`C:\\u0000dir`),
		"SQL":                          name(`'; DROP TABLE events; -- $1 ? ?? ?0 :name %s \"`),
		"placeholders":                 name(`? $1 @p1 ?0 \\? $$ $tag$`),
		"emoji and U+2028":             name("\U0001F600\u2028\u2029"),
		"a zero width joiner":          name("\U0001F469\u200d\U0001F4BB"),
		"letters from right to left":   name("\u202eabc שלום"),
		"a name in decomposed letters": name("A\u0301"),
		"the replacement character":    name("\ufffd"),
		"the last of Unicode":          name("\U0010FFFF\uFFFF"),
		"markup":                       name(`<script>alert(1)</script>&amp;`),
		"escapes":                      name(`\ud83d\ude00\n\/\b\f\r\t\"\\`),
		"escaped letters":              name(`\u0041\u00e9`),
		"control characters":           name(`\u0001\u001f\u007f`),
		"a delete character":           name("\u007f\u0080"),
		"white space":                  "{ \"name\" : \"a\" ,\n\t\"email\":\r\n\"a@example.com\" }",
		"escaped keys":                 `{"n\u0061me":"a","\u0065mail":"a@example.com"}`,
		"the other order":              `{"email":"a@example.com","name":"a"}`,
		"a name of spaces":             name("   "),
		"a name of 200 characters":     name(strings.Repeat("é", 200)),
		"a name of 200 emoji":          name(strings.Repeat(`\ud83d\ude00`, 200)),
		"the words null and true":      name("null true NaN"),
		"a plus in an address":         email("a+b@example.com"),
		"a quoted address":             email(`\"a b\"@example.com`),
		"an address at an address":     email("a@[127.0.0.1]"),
		"an address in capitals":       email("A@EXAMPLE.COM"),
		"an address of 254":            email(strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 57) + ".com"),
		"an international address":     email("ü@exämple.com"),
	} {
		id, user := uuid.New(), uuid.New()
		sent := event(id, user, "user.created", payload)
		if got := a.post(sent, "Prefer: wait=10"); got.status != http.StatusCreated || got.header.Get("Preference-Applied") == "" {
			t.Errorf("%s: %d %s", what, got.status, got.body)
			continue
		}
		var stored string
		if err := db.NewRaw("SELECT payload::text FROM events WHERE id = ?", id).Scan(t.Context(), &stored); err != nil || stored != payload {
			t.Errorf("%s: stored as %q, %v", what, stored, err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(payload)); err != nil {
			t.Fatal(err)
		}
		if got := a.get("/v1/events/" + id.String()); !strings.Contains(got.body, `"payload":`+compact.String()+`,`) {
			t.Errorf("%s: answered as %s", what, got.body)
		}
		var want, shown struct{ Name, Email string }
		if err := json.Unmarshal([]byte(payload), &want); err != nil {
			t.Fatal(err)
		}
		if a.get("/v1/users/"+user.String()).into(t, &shown); shown != want {
			t.Errorf("%s: the view shows %q", what, shown)
		}
		if got := a.post(sent); got.status != http.StatusOK {
			t.Errorf("%s: repeated: %d %s", what, got.status, got.body)
		}
	}
}

func TestLegalOdditiesOfMetadataReadBackEqual(t *testing.T) {
	t.Parallel()
	a := start(t)
	for what, metadata := range map[string]string{
		"2^53 + 1":          `{"n":9007199254740993}`,
		"small and large":   `{"n":[1e308,-1e308,1e-300,0.1,-0,123456789012345678901234567890]}`,
		"32 levels":         `{"a":` + nested(30) + `}`,
		"1,000 keys":        `{` + manyKeys(1000) + `}`,
		"a 64 KiB string":   `{"a":"` + strings.Repeat("é", 32<<10) + `"}`,
		"an empty key":      `{"":{"":[]}}`,
		"case is a meaning": `{"a":1,"A":2}`,
		"SQL":               `{"'; --":"? $1 \" \\ \u2028"}`,
		"reserved names":    `{"actor":"key:root","position":1,"version":7,"__proto__":{},"constructor":null}`,
		"a backslash":       `{"C:\\u0000dir":"\\u0000"}`,
	} {
		id := uuid.New()
		if got := a.post(withMetadata(event(id, uuid.New(), "user.created", ada), metadata)); got.status != http.StatusCreated {
			t.Errorf("%s: %d %s", what, got.status, got.body)
			continue
		}
		var read struct{ Metadata json.RawMessage }
		a.get("/v1/events/"+id.String()).into(t, &read)
		if want, got := exact(t, metadata), exact(t, string(read.Metadata)); !reflect.DeepEqual(want, got) {
			t.Errorf("%s: reads back as %.300s", what, read.Metadata)
		}
	}
}

// exact decodes JSON without rounding; numbers are compared by value.
func exact(t *testing.T, text string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return plainNumbers(v)
}

func TestOddIdsAndVersionsAreTaken(t *testing.T) {
	t.Parallel()
	a := start(t)
	same := uuid.New()
	if got := a.post(event(same, same, "user.created", ada)); got.status != http.StatusCreated {
		t.Errorf("an event id equal to its aggregate's: %d %s", got.status, got.body)
	}
	id, user := uuid.New(), uuid.New()
	upper := event(id, user, "user.created", ada)
	upper = strings.NewReplacer(id.String(), strings.ToUpper(id.String()), user.String(), strings.ToUpper(user.String())).Replace(upper)
	if got := a.post(upper); got.status != http.StatusCreated || !strings.Contains(got.body, id.String()) || !strings.Contains(got.body, user.String()) {
		t.Errorf("ids in capitals: %d %s", got.status, got.body)
	}
	if got := a.post(event(id, user, "user.created", ada)); got.status != http.StatusOK {
		t.Errorf("the same ids in small letters: %d %s", got.status, got.body)
	}
	if got := a.get("/v1/events/" + strings.ToUpper(id.String())); got.status != http.StatusOK {
		t.Errorf("read by an id in capitals: %d %s", got.status, got.body)
	}
	for _, kind := range []string{"0", "1", "4", "7", "8", "f"} { // any version
		id := uuid.NewString()
		e := event(uuid.MustParse(id[:14]+kind+id[15:]), uuid.New(), "user.created", ada)
		if got := a.post(e); got.status != http.StatusCreated {
			t.Errorf("a UUID of version %s: %d %s", kind, got.status, got.body)
		}
	}
	if got := a.post(someone(`"expected_version":0`, `"metadata":{}`)); got.status != http.StatusCreated {
		t.Errorf("version 0 of nobody: %d %s", got.status, got.body)
	}
	if got := a.post(someone(`"expected_version":-0`)); got.status != http.StatusCreated {
		t.Errorf("version -0 of nobody: %d %s", got.status, got.body)
	}
}

// plainNumbers gives each number its exact value, because jsonb writes 1e2 as
// 100.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if value, ok := new(big.Rat).SetString(v.String()); ok {
			return value.RatString()
		}
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plainNumbers(v[name])
		}
	}
	return v
}
