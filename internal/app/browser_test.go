//go:build browser

package app_test

import (
	"context"
	"encoding/json"
	"fmt"
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
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// screenshots is where pictures of every page are kept; git ignores it.
const screenshots = "../../dist/screenshots"

// patience is how long a page may take on a machine that does much else.
const patience = 60 * time.Second

// tab is a page in a real browser.
type tab struct {
	t   testing.TB
	ctx context.Context //nolint:containedctx // chromedp keeps the tab in it
	url string

	mu         sync.Mutex
	complaints []string
}

// openBrowser opens a browser at the program. When the test ends, a violation of
// a page's Content-Security-Policy, an error in its console, or a request that
// went anywhere but to the program and the other addresses has failed it.
func (a *api) openBrowser(others ...string) *tab {
	a.t.Helper()
	if os.Getenv("SKIP_BROWSER") != "" {
		a.t.Skip("SKIP_BROWSER is set")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(a.t)), chromedp.UserDataDir(a.t.TempDir()),
		chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.DisableGPU, chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(a.t.Context()), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	a.t.Cleanup(func() { cancel(); stop() })
	b := &tab{t: a.t, ctx: ctx, url: a.url}
	home := append(others, a.url)
	if err := chromedp.Listen(ctx, func(event any) { b.note(complaint(home, event)) }); err != nil {
		a.t.Fatal(err)
	}
	for _, domain := range []cdp.Command[cdp.Empty, cdp.Empty]{audits.Enable, log.Enable, runtime.Enable} {
		run(b, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, domain, cdp.Empty{})
			return err
		}))
	}
	run(b, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{})
		return err
	}))
	a.t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complaints {
			b.t.Error(c)
		}
	})
	b.do(chromedp.EmulateViewport(1440, 900))
	return b
}

// chromium finds the browser.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	t.Fatal("there is no Chromium on this machine: `make test-browser` installs it through apt, SKIP_BROWSER=1 goes without")
	return ""
}

// complaint is what is wrong with an event of the browser; empty for nothing.
func complaint(home []string, event any) string {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		address := e.Request.URL
		at := func(prefix string) bool { return strings.HasPrefix(address, prefix) }
		if !slices.ContainsFunc(home, func(h string) bool { return at(h + "/") }) && !at("data:") && !at("blob:") && !at("about:") {
			return "a request to elsewhere: " + address
		}
	case *audits.EventIssueAdded:
		if d := e.Issue.Details.ContentSecurityPolicyIssueDetails; d != nil {
			return "against the policy: " + d.ViolatedDirective + " " + d.BlockedURL
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork { // a 404 is no error of the page
			return "in the console: " + e.Entry.Text
		}
	case *runtime.EventExceptionThrown:
		return fmt.Sprintf("thrown: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	}
	return ""
}

func (b *tab) note(complaint string) {
	if complaint == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, complaint)
}

// run takes one step that has a result.
func run[T any](b *tab, step chromedp.Action[T]) T {
	b.t.Helper()
	result, err := chromedp.Run(b.ctx, step)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.now())
	}
	return result
}

// do runs steps that have no result.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%v\n%s", err, b.now())
	}
}

func (b *tab) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.url+path), chromedp.WaitReady(chromedp.CSS("footer")))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

func (b *tab) keys(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.do(chromedp.KeyEvent(k))
	}
}

// write types into an element.
func (b *tab) write(selector, keys string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS(selector), keys))
}

// eval gives what an expression comes to.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// now is what a reader sees, for messages.
func (b *tab) now() string {
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// until waits until an expression is true, over all pages that come meanwhile.
func (b *tab) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	ticker := time.NewTicker(30 * time.Millisecond)
	defer ticker.Stop()
	for {
		// Between two pages there is nothing to ask.
		if met, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")")); err == nil && met {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			b.t.Fatalf("it never came to %s\n%s", expression, b.now())
		}
	}
}

// shoot keeps pictures of the page, narrow and wide, light and dark, and
// complains where it does not fit.
func (b *tab) shoot(name string) {
	b.t.Helper()
	if err := os.MkdirAll(screenshots, 0o750); err != nil {
		b.t.Fatal(err)
	}
	for _, width := range []int64{375, 1440} {
		for _, scheme := range []string{"light", "dark"} {
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
			if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
				b.t.Fatal(err)
			}
			b.do(chromedp.EmulateViewport(width, 900))
			eval[int](b, "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
			if over := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
				b.t.Errorf("%s is %d pixels too wide for %d", name, over, width)
			}
			picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			if err != nil {
				b.t.Fatal(err)
			}
			file := filepath.Join(screenshots, fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
			if err := os.WriteFile(file, picture, 0o600); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.do(chromedp.EmulateViewport(1440, 900))
}

// text is what a reader sees of an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	quoted, err := json.Marshal(selector)
	if err != nil {
		b.t.Fatal(err)
	}
	return eval[string](b, "document.querySelector("+string(quoted)+").innerText")
}
