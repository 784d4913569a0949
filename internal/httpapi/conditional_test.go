package httpapi_test

import (
	"net/http"
	"testing"

	"onepg/internal/httpapi"
)

func TestConditionalRead(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		headers []string
		status  int
	}{
		{"no header", nil, 200},
		{"the version", []string{`If-None-Match: "7"`}, 304},
		{"weak", []string{`If-None-Match: W/"7"`}, 304},
		{"in a list", []string{`If-None-Match: "5", W/"6","7"`}, 304},
		{"on a second line", []string{`If-None-Match: "5"`, `If-None-Match: "7"`}, 304},
		{"any", []string{`If-None-Match: *`}, 304},
		{"another", []string{`If-None-Match: "8"`}, 200},
		{"longer", []string{`If-None-Match: "77"`}, 200},
		{"no tag", []string{`If-None-Match: 7`}, 200},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rec := newFixture(t).do("GET", thingPath, "", c.headers...)
			if rec.Code != c.status || rec.Header().Get("ETag") != `"7"` || rec.Header().Get("Cache-Control") != "private, no-cache" {
				t.Errorf("%d %v", rec.Code, rec.Header())
			}
			if empty := rec.Body.Len() == 0; empty != (c.status == 304) {
				t.Errorf("%d with body %q", rec.Code, rec.Body)
			}
		})
	}
}

func TestAnswerIsJSONAsDocumented(t *testing.T) {
	t.Parallel()
	want := `{"id":"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01","name":"<&>","at":"2026-11-21T03:04:05.120000Z"}` + "\n"
	rec := newFixture(t).do("GET", thingPath, "")
	if got := rec.Body.String(); got != want || rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestParseIfMatch(t *testing.T) {
	t.Parallel()
	header := func(lines ...string) http.Header { return http.Header{"If-Match": lines} }
	if m, err := httpapi.ParseIfMatch(http.Header{}); err != nil || m.Any || m.Version != nil {
		t.Errorf("none: %+v, %v", m, err)
	}
	if m, err := httpapi.ParseIfMatch(header(" * ")); err != nil || !m.Any || m.Version != nil {
		t.Errorf("any: %+v, %v", m, err)
	}
	for text, want := range map[string]int{`"0"`: 0, `"7"`: 7, `W/"7"`: -1, ` "2147483647" `: 2147483647} {
		if m, err := httpapi.ParseIfMatch(header(text)); err != nil || m.Any || m.Version == nil || *m.Version != want {
			t.Errorf("%s: %+v, %v", text, m, err)
		}
	}
	for _, bad := range []string{"", "7", `"`, `""`, `"07"`, `"-1"`, `"+1"`, `"x"`, `W/"x"`, `W/7`, `W/*`, `"1","2"`, `""7""`, `"2147483648"`} {
		if m, err := httpapi.ParseIfMatch(header(bad)); err == nil {
			t.Errorf("%s was taken for %+v", bad, m)
		}
	}
	if _, err := httpapi.ParseIfMatch(header(`"1"`, `"1"`)); err == nil {
		t.Error("two lines were taken")
	}
}
