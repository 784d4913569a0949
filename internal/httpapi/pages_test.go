package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gin-gonic/gin"

	"onepg/internal/httpapi"
)

// paged has a page at /desk, another at /desk/drawer, and files.
func paged(t *testing.T) (*fixture, *httpapi.Assets) {
	t.Helper()
	f := newFixture(t)
	g := f.Pages("/desk", func(c *gin.Context, p *httpapi.Problem) error {
		return httpapi.WritePage(c, p.Status, []byte("<p>"+html.EscapeString(p.Detail)))
	})
	for path, text := range map[string]string{"": "<h1>Desk", "/drawer": "<h1>Drawer"} {
		g.Raw(httpapi.Operation{Method: http.MethodGet, Path: path, Scope: "things:read", Hidden: true}, func(c *gin.Context) error {
			return httpapi.WritePage(c, http.StatusOK, []byte(text))
		})
	}
	assets := g.Assets(fstest.MapFS{
		"app.css": {Data: []byte("body{}")}, "lib/a.js": {Data: []byte("1")}, "NOTES.md": {Data: []byte("not served")},
	})
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	return f, assets
}

func TestAPageHasThePolicyAndIsNotKept(t *testing.T) {
	t.Parallel()
	f, _ := paged(t)
	rec := f.do("GET", "/desk", "")
	if rec.Code != 200 || rec.Header().Get("Content-Security-Policy") != httpapi.PagePolicy ||
		rec.Header().Get("Content-Type") != "text/html; charset=utf-8" || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	if !strings.Contains(httpapi.PagePolicy, "default-src 'none'") || strings.Contains(httpapi.PagePolicy, "unsafe") {
		t.Error(httpapi.PagePolicy)
	}
	index := f.do("GET", "/", "").Body.String()
	if !strings.Contains(index, `"/desk"`) || strings.Contains(index, "/desk/") {
		t.Errorf("the index lists %s", index)
	}
}

func TestWhatIsRefusedBelowPagesIsAPage(t *testing.T) {
	t.Parallel()
	f, _ := paged(t)
	for _, c := range []struct {
		method, path string
		status       int
		page         bool
	}{
		{"GET", "/desk/nothing", 404, true},
		{"POST", "/desk/drawer", 405, true},
		{"GET", "/desk/assets/nothing.css", 404, true},
		{"GET", "/desktop", 404, false},
		{"GET", "/v1/things/nothing/at/all", 404, false},
	} {
		rec := f.do(c.method, c.path, "")
		want := "application/problem+json"
		if c.page {
			want = "text/html; charset=utf-8"
		}
		if rec.Code != c.status || rec.Header().Get("Content-Type") != want || rec.Body.Len() == 0 {
			t.Errorf("%s %s: %d %v %s", c.method, c.path, rec.Code, rec.Header(), rec.Body)
		}
	}
}

func TestAssetsAreKeptByTheirContent(t *testing.T) {
	t.Parallel()
	f, assets := paged(t)
	for name, kind := range map[string]string{"app.css": "text/css; charset=utf-8", "lib/a.js": "text/javascript; charset=utf-8"} {
		url, err := assets.URL(name)
		if err != nil || !regexp.MustCompile(`^/desk/assets/`+regexp.QuoteMeta(name)+`\?v=.{16}$`).MatchString(url) {
			t.Fatalf("%q %v", url, err)
		}
		rec := f.do("GET", url, "")
		if rec.Code != 200 || rec.Header().Get("Content-Type") != kind || !strings.Contains(rec.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", url, rec.Code, rec.Header())
		}
		bare, _, _ := strings.Cut(url, "?")
		rec = f.do("GET", bare+"?v=another", "")
		if rec.Code != 200 || rec.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s of another program: %d %v", bare, rec.Code, rec.Header())
		}
		rec = f.do("GET", bare, "", fmt.Sprintf("If-None-Match: %s", rec.Header().Get("Etag")))
		if rec.Code != 304 || rec.Body.Len() != 0 {
			t.Errorf("%s unchanged: %d %s", bare, rec.Code, rec.Body)
		}
	}
	if _, err := assets.URL("NOTES.md"); err == nil {
		t.Error("a note is served")
	}
	for _, path := range []string{"NOTES.md", "", "lib", "../app.css", "%2e%2e/app.css", "lib/../app.css"} {
		if rec := f.do("GET", "/desk/assets/"+path, ""); rec.Code != 404 {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
}

func TestAFileThatIsKeptZippedIsServedEitherWay(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte("let a = 1")); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	assets := f.Pages("/desk", nil).Assets(fstest.MapFS{"a.js.gz": {Data: zipped.Bytes()}})
	url, err := assets.URL("a.js")
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string]string{"gzip, br": zipped.String(), "": "let a = 1"} {
		rec := f.do("GET", url, "", "Accept-Encoding: "+accept)
		if encoding := rec.Header().Get("Content-Encoding"); rec.Body.String() != want || (encoding == "gzip") != (accept != "") ||
			rec.Header().Get("Vary") != "Accept-Encoding" || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/javascript") {
			t.Errorf("%q: %v %q", accept, rec.Header(), rec.Body)
		}
	}
	f = newFixture(t)
	f.Pages("/desk", nil).Assets(fstest.MapFS{"a.js.gz": {Data: []byte("not zipped")}})
	if f.Err() == nil {
		t.Error("a file that cannot be read is served")
	}
}
