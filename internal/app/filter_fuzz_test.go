package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzFilters asks for lists with filters and cursors that anybody may make up:
// the answer is a page or a 400, and for letters that every collation agrees on
// it is the right page.
func FuzzFilters(f *testing.F) {
	a := start(f)
	people := []string{"Ada", "adam", "ad_hoc", "100% Eva", `back\slash`, "O'Neil", "Zoe"}
	for i, name := range people {
		a.create(fmt.Sprintf(`{"name":%q,"email":"u%d@Example.com"}`, name, i))
	}
	for _, seed := range [][3]string{
		{"ad", "", "Ada"},
		{"%", "u1@example.com", "2026-11-21T00:00:00Z"},
		{"_", "", "0000-01-01T00:00:00Z"},
		{`\`, "U2@EXAMPLE.COM", "9999-12-31T23:59:59-23:00"},
		{"'", "'", "'"},
		{"\x00", "\xff", "\x00"},
		{"$1", "?", "?0"},
		{strings.Repeat("a", 201), "", ""},
		{"é", "ü@x", "2026-11-21T00:00:00+23:59"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, name, email, key string) {
		own := &api{t: t, url: a.url}
		query := url.Values{"name": {name}, "email": {email}, "sort": {"name"}}
		got := own.get("/v1/users?" + query.Encode())
		if got.status != http.StatusOK && got.code() != "bad-parameter" {
			t.Fatalf("%d %s", got.status, got.body)
		}
		if isPlain(name) && isPlain(email) && got.status == http.StatusOK {
			var page userPage
			got.into(t, &page)
			for i, person := range people {
				want := strings.HasPrefix(strings.ToLower(person), strings.ToLower(name)) && (email == "" || strings.EqualFold(email, fmt.Sprintf("u%d@example.com", i)))
				if found := slices.ContainsFunc(page.Items, func(u user) bool { return u.Name == person }); found != want {
					t.Fatalf("%q: found %t, want %t", person, found, want)
				}
			}
		}
		for _, list := range []string{"/v1/users?limit=1", "/v1/users?limit=1&sort=name", "/v1/events?limit=1&name=" + url.QueryEscape(name), "/v1/payments?limit=1&from=" + url.QueryEscape(key)} {
			page := own.get(list)
			if page.status != http.StatusOK && page.code() != "bad-parameter" {
				t.Fatalf("%s: %d %s", list, page.status, page.body)
			}
			if page.status != http.StatusOK || !strings.HasPrefix(list, "/v1/users") {
				continue
			}
			cursor := forged(t, own.cursorOf(t, list), "k", strings.ToValidUTF8(key, "?"))
			if next := own.get(list + "&cursor=" + cursor); next.status != http.StatusOK && next.code() != "bad-parameter" {
				t.Fatalf("%s after %q: %d %s", list, key, next.status, next.body)
			}
		}
	})
}

// isPlain tells text that has no letters beyond ASCII.
func isPlain(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c > '~' }) < 0
}
