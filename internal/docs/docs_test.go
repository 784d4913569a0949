package docs_test

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"onepg/internal/docs"
	"onepg/internal/httpapi"
)

func newAPI(t *testing.T) http.Handler {
	t.Helper()
	api, err := httpapi.New(httpapi.Options{
		Logger: slog.New(slog.DiscardHandler), Clock: time.Now, Metrics: prometheus.NewRegistry(), Version: "1.2.3",
	})
	if err != nil {
		t.Fatal(err)
	}
	docs.Mount(api)
	if err := api.Err(); err != nil {
		t.Fatal(err)
	}
	return api.Handler()
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	request.Header.Set("Accept-Encoding", "gzip")
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	return answer
}

// The page names nothing but files of its own, each of which is there, and runs
// nothing that is written into it.
func TestThePageNeedsNobodyElse(t *testing.T) {
	t.Parallel()
	h := newAPI(t)
	page := get(t, h, "/docs")
	if page.Code != http.StatusOK || page.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", page.Code, page.Header())
	}
	policy := page.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self';", "img-src 'self' data:;"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Error(policy)
	}
	text := page.Body.String()
	if regexp.MustCompile(`(?i)https?:|<script>|<style| style=| on[a-z]+=`).MatchString(text) {
		t.Errorf("the page: %s", text)
	}
	found := regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(text, -1)
	if len(found) != 5 {
		t.Errorf("%d links in %s", len(found), text)
	}
	for _, link := range found {
		if got := get(t, h, link[1]); got.Code != http.StatusOK || got.Body.Len() == 0 {
			t.Errorf("%s: %d", link[1], got.Code)
		}
	}
	if got := get(t, h, "/docs/nothing"); got.Code != http.StatusNotFound || strings.Contains(got.Body.String(), "<script") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// What is not ours is what VENDORED.md says.
func TestVendoredFilesAreTheNotedVersions(t *testing.T) {
	t.Parallel()
	notes, err := os.ReadFile("VENDORED.md")
	if err != nil {
		t.Fatal(err)
	}
	noted := regexp.MustCompile(`(?m)^\| (\S+\.gz) \|.*\| ([0-9a-f]{64}) \|$`).FindAllStringSubmatch(string(notes), -1)
	files, err := filepath.Glob("assets/*.gz")
	if err != nil || len(noted) != len(files) || len(files) == 0 {
		t.Fatalf("%d files are noted of %d: %v", len(noted), len(files), err)
	}
	for _, note := range noted {
		file, err := os.Open("assets/" + note[1])
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		unzipped, err := gzip.NewReader(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, unzipped); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != note[2] {
			t.Errorf("%s is %s, noted is %s", note[1], got, note[2])
		}
	}
}
