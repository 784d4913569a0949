//go:build browser

package app_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"

	"onepg/internal/postgres/pgtest"
	"onepg/internal/tsclient"
)

// A page of another origin, which the server lets in, works with the client as
// it is written, without a build: it posts, waits for the view, and follows the
// log.
func TestBrowserTheClientRunsInAPage(t *testing.T) {
	t.Parallel()
	spec, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	files, err := tsclient.Make(spec.text)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := tsclient.Write(folder, append(files, tsclient.File{Name: "page.html", Content: []byte(
		`<!doctype html><link rel="icon" href="data:,"><script type="module" src="page.js"></script>`)},
		tsclient.File{Name: "page.js", Content: []byte(`
			import { Client, isProblem } from "./index.js";
			const api = new Client({ baseUrl: decodeURIComponent(location.hash.slice(1)) });
			const payload = { name: "Ada", email: "ada@example.com" };
			const receipt = await api.append("users", { name: "user.created", payload });
			const row = await api.waitFor("users", receipt);
			const code = await api.append("users", { name: "user.deleted", aggregate_id: row.id, payload: {} }, { ifMatch: 5 })
				.catch((error) => isProblem(error) && error.code);
			for await (const event of api.events({ after: 0 })) {
				document.body.id = "done";
				document.title = [row.name, code, event.name, event.id === receipt.id].join(" ");
				break;
			}`)})); err != nil {
		t.Fatal(err)
	}
	pages := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(pages.Close)
	a := startOn(t, pgtest.New(t), "--cors-origins="+pages.URL)
	b := a.openBrowser(pages.URL)
	b.do(chromedp.Navigate(pages.URL+"/page.html#"+a.url), chromedp.WaitReady(chromedp.CSS("#done")))
	if got, want := run(b, chromedp.Title()), "Ada version-conflict user.created true"; got != want {
		t.Errorf("the page came to %q, want %q", got, want)
	}
}
