package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onepg/internal/httpapi"
)

func (f *fixture) page(t *testing.T, target string) (names []string, page httpapi.Page[thing], link string) {
	t.Helper()
	rec := f.do("GET", target, "")
	if rec.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", target, rec.Code, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &page); err != nil {
		t.Fatal(err)
	}
	for _, item := range page.Items {
		names = append(names, item.Name)
	}
	return names, page, rec.Header().Get("Link")
}

func TestPagesVisitEveryRowOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"a", "a<>&?#", "aü", "b", "c"}
	target, seen := "/v1/things?limit=1&name=a", []string(nil)
	for pages := 0; target != ""; pages++ {
		if pages > 3 {
			t.Fatal("the pages do not end")
		}
		names, page, link := f.page(t, target)
		seen = append(seen, names...)
		if (page.NextCursor == nil) != (link == "") {
			t.Fatalf("next_cursor %v but Link %q", page.NextCursor, link)
		}
		target = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	}
	if diff := cmp.Diff([]string{"a", "a<>&?#", "aü"}, seen); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestEmptyPageHasItemsAndNullCursor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rec := f.do("GET", "/v1/things?name=zzz", "")
	if got := strings.TrimSpace(rec.Body.String()); got != `{"items":[],"next_cursor":null}` {
		t.Error(got)
	}
}

func TestLinkIsRelativeAndEscaped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.names = []string{"> 1", "> 2"}
	_, page, link := f.page(t, "/v1/things?limit=1&name=%3E+")
	want := "</v1/things?cursor=" + *page.NextCursor + "&limit=1&name=%3E+>; rel=\"next\""
	if link != want {
		t.Errorf("%s\nwant %s", link, want)
	}
}

func TestCursorOfAnotherListIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, page, _ := f.page(t, "/v1/things?limit=1&name=")
	cursor := "cursor=" + *page.NextCursor
	f.page(t, "/v1/things?name=&limit=2&"+cursor) // the page's size may change
	for _, other := range []string{"/v1/things?", "/v1/things?name=a&", "/v1/things?name=&sort=-name&", "/v1/things?name=&tag=x&"} {
		p := wantProblem(t, f.do("GET", other+cursor, ""), 400, "bad-parameter")
		if !strings.HasPrefix(p.Detail, "cursor: ") {
			t.Errorf("%s: %s", other, p.Detail)
		}
	}
}

func TestCursorCannotCarryWhatADatabaseRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, page, _ := f.page(t, "/v1/things?limit=1")
	raw, err := base64.RawURLEncoding.DecodeString(*page.NextCursor)
	if err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(string(raw), `"k":"a"`, `"k":"\u0000"`, 1)
	if forged == string(raw) {
		t.Fatalf("no key in %s", raw)
	}
	wantProblem(t, f.do("GET", "/v1/things?cursor="+base64.RawURLEncoding.EncodeToString([]byte(forged)), ""), 400, "bad-parameter")
}

// Whatever a client makes up as a cursor is a page or a 400, never anything
// else.
func FuzzCursor(f *testing.F) {
	fix := newFixture(f)
	rec := fix.do("GET", "/v1/things?limit=1", "")
	var page httpapi.Page[thing]
	if err := json.Unmarshal(rec.Body.Bytes(), &page); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{*page.NextCursor, "", "e30", "bnVsbA", "eyJrIjoiXHUwMDAwIn0", "===", "\x00", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		rec := fix.do("GET", "/v1/things?limit=1&cursor="+url.QueryEscape(cursor), "")
		if rec.Code != http.StatusOK {
			wantProblem(t, rec, 400, "bad-parameter")
		}
	})
}
