//go:build browser

package app_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
)

// The page shows every operation, and a person can post an event on it. That it
// keeps to its policy and asks nobody else is openBrowser's to see.
func TestBrowserTheDocumentationIsReadAndTried(t *testing.T) {
	t.Parallel()
	a := start(t)
	b := a.openBrowser()
	spec, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	operations := 0
	for _, item := range spec.doc.Paths.Map() {
		operations += len(item.Operations())
	}
	b.do(chromedp.Navigate(a.url+"/docs"), chromedp.WaitVisible(chromedp.CSS("#operations-users-append-users-events")))
	if shown := run(b, chromedp.Evaluate[int](`document.querySelectorAll(".opblock").length`)); shown != operations {
		t.Errorf("%d operations are shown of %d", shown, operations)
	}
	id := uuid.New()
	const block = "#operations-users-append-users-events "
	const body = chromedp.CSS(block + "textarea.body-param__text")
	b.do(
		chromedp.Click(chromedp.CSS(block+".opblock-summary-control")),
		chromedp.WaitVisible(body),
	)
	// Why not typed: the page renders anew for every key, which takes minutes here.
	run(b, chromedp.Evaluate[bool](`
		const body = document.querySelector("`+string(body)+`");
		body.select();
		document.execCommand("insertText", false, `+strconv.Quote(event(uuid.New(), id, "user.created", ada))+`)`))
	b.do(
		chromedp.Click(chromedp.CSS(block+"button.execute")),
		chromedp.WaitVisible(chromedp.CSS(block+".live-responses-table .response-col_status")),
	)
	answered := run(b, chromedp.Text(chromedp.CSS(block+".live-responses-table tr.response .response-col_status")))
	if !strings.HasPrefix(strings.TrimSpace(answered), "201") {
		t.Errorf("the page shows the answer %q", answered)
	}
	if got := a.get("/v1/users/"+id.String()+"?min_version=1", "Prefer: wait=10"); got.status != 200 {
		t.Errorf("the user that was posted on the page: %d %s", got.status, got.body)
	}
	b.shoot("docs")
}
