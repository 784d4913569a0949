//go:build browser

package app_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browserPatience is how long a page may take to come to what a test waits for.
// Why so much: a busy machine with two cores starts Chromium in twenty seconds.
const browserPatience = 2 * time.Minute

// browser is one tab of a real Chromium.
type browser struct {
	context.Context //nolint:containedctx // it is how chromedp passes a tab on

	t    *testing.T
	mu   sync.Mutex
	seen []string
}

// newBrowser opens a tab. When the test ends, a violation of a page's
// Content-Security-Policy, an error in its console, or a request that went
// anywhere but to the servers at these addresses has failed it.
func newBrowser(t *testing.T, addresses ...string) *browser {
	t.Helper()
	program := findChromium(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, // tests may be run by root, who has no sandbox
		chromedp.WindowSize(1440, 900))
	ctx, stop := context.WithTimeout(context.WithoutCancel(t.Context()), 2*browserPatience)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	b := &browser{Context: ctx, t: t}
	if err := chromedp.Listen(ctx, func(event any) { b.note(addresses, event) }); err != nil {
		t.Fatal(err)
	}
	for _, domain := range []cdp.Command[cdp.Empty, cdp.Empty]{audits.Enable, log.Enable, runtime.Enable} {
		b.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			_, err := cdp.Call(ctx, tab, domain, cdp.Empty{})
			return err
		}))
	}
	b.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{})
		return err
	}))
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, what := range b.seen {
			t.Error(what)
		}
	})
	return b
}

func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("SKIP_BROWSER") == "1" {
		t.Skip("there is no Chromium, and SKIP_BROWSER=1 says that this is meant")
	}
	t.Fatal("there is no Chromium: install it (Debian: apt-get install chromium), or skip with SKIP_BROWSER=1")
	return ""
}

// note keeps what a good page never does.
func (b *browser) note(addresses []string, event any) {
	what := ""
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		ours := slices.ContainsFunc(addresses, func(address string) bool { return strings.HasPrefix(e.Request.URL, address+"/") })
		if !ours && !strings.HasPrefix(e.Request.URL, "data:") && !strings.HasPrefix(e.Request.URL, "blob:") {
			what = "a request to elsewhere: " + e.Request.URL
		}
	case *audits.EventIssueAdded:
		if d := e.Issue.Details.ContentSecurityPolicyIssueDetails; d != nil {
			what = "against the policy: " + d.ViolatedDirective + " " + d.BlockedURL
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork { // a 404 is no error of the page
			what = "in the console: " + e.Entry.Text
		}
	case *runtime.EventExceptionThrown:
		what = "thrown: " + e.ExceptionDetails.Text
	}
	if what != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seen = append(b.seen, what)
	}
}

// do takes the steps one after the other.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// read takes one step that has a result.
func read[T any](b *browser, step chromedp.Action[T]) T {
	b.t.Helper()
	result, err := chromedp.Run(b, step)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// picture keeps what the tab shows, for people: go test -artifacts.
func (b *browser) picture(name string) {
	b.t.Helper()
	png := read(b, chromedp.CaptureScreenshot())
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
