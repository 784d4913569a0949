package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"onepg/internal/httpapi"
)

func TestParsePreferWait(t *testing.T) {
	t.Parallel()
	const none = -1
	cases := []struct {
		lines   []string
		seconds int
	}{
		{nil, none},
		{[]string{""}, none},
		{[]string{"wait=5"}, 5},
		{[]string{"wait=0"}, 0},
		{[]string{"wait=30"}, 30},
		{[]string{"wait=31"}, 30},
		{[]string{"wait=99999999999999999999999"}, 30},
		{[]string{"Wait = 5"}, 5},
		{[]string{`wait="5"`}, 5},
		{[]string{"respond-async, wait=5; foo=bar"}, 5},
		{[]string{"respond-async; wait=9, wait=5"}, 5},
		{[]string{`x="a, wait=9; \", wait=8", wait=5`}, 5},
		{[]string{"respond-async", "wait=5"}, 5},
		{[]string{"wait=5, wait=6"}, 5},
		{[]string{"wait=5", "wait=6"}, 5},
		{[]string{"wait=x, wait=6"}, none},
		{[]string{"wait"}, none},
		{[]string{"wait="}, none},
		{[]string{"wait=-1"}, none},
		{[]string{"wait=1.5"}, none},
		{[]string{"wait=5 s"}, none},
		{[]string{`wait="5`}, none},
		{[]string{"waits=5"}, none},
	}
	for _, c := range cases {
		wait, ok := httpapi.ParsePreferWait(http.Header{"Prefer": c.lines})
		if got := int(wait / time.Second); ok != (c.seconds != none) || ok && got != c.seconds {
			t.Errorf("%q: %v %v, want %d", c.lines, wait, ok, c.seconds)
		}
	}
}

func TestPreferReachesTheHandlerFromAnyLine(t *testing.T) {
	t.Parallel()
	rec := newFixture(t).do("GET", thingPath, "", "Prefer: respond-async", "Prefer: wait=5")
	if got := rec.Header().Get("Preference-Applied"); got != "wait=5" {
		t.Errorf("Preference-Applied %q", got)
	}
}

func FuzzParsePreferWait(f *testing.F) {
	for _, seed := range []string{"wait=5", `x="\`, `a;b,wait="30"`, ",,;;==", `wait="`} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		wait, ok := httpapi.ParsePreferWait(http.Header{"Prefer": {first, second}})
		if wait < 0 || wait > 30*time.Second || wait%time.Second != 0 || !ok && wait != 0 {
			t.Errorf("%q, %q: %v %v", first, second, wait, ok)
		}
		if !ok {
			return
		}
		again, ok := httpapi.ParsePreferWait(http.Header{"Prefer": {httpapi.PreferenceApplied(wait)}})
		if !ok || again != wait {
			t.Errorf("%v reads back as %v", wait, again)
		}
	})
}
