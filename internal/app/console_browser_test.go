//go:build browser

package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"

	"onepg/internal/postgres/pgtest"
)

// story records what a page has to show: a user with five versions, the payment
// of another aggregate in the same correlation, and events that caused each
// other.
func (a *api) story() (user, first uuid.UUID) {
	a.t.Helper()
	user, first = uuid.New(), uuid.New()
	record := func(id, aggregate uuid.UUID, name, payload, metadata string) {
		body := strings.TrimSuffix(event(id, aggregate, name, payload), "}") + `,"metadata":` + metadata + "}"
		if got := a.post(body, "Prefer: wait=10"); got.status != http.StatusCreated {
			a.t.Fatalf("%d %s", got.status, got.body)
		}
	}
	together := `{"correlation_id":"signup-7","causation_id":"` + first.String() + `"}`
	record(first, user, "user.created", ada, `{"correlation_id":"signup-7"}`)
	record(uuid.New(), user, "user.updated", `{"name":"Ada King"}`, together)
	record(uuid.New(), user, "user.updated", `{"email":"ada@king.example"}`, together)
	record(uuid.New(), user, "user.updated", `{"name":"Ada, Countess of Lovelace"}`, together)
	record(uuid.New(), uuid.New(), "user.created", `{"name":"Charles Babbage","email":"charles@example.com"}`, together)
	for _, amount := range []string{"12.50", "19999.00"} {
		a.do(http.MethodPost, "/v1/payments/"+uuid.NewString()+"/process", paying(user, amount, "USD", "credit_card"), "Idempotency-Key: "+uuid.NewString())
	}
	return user, first
}

func TestBrowserOverview(t *testing.T) {
	t.Parallel()
	a := start(t)
	b := a.openBrowser()
	b.open("/console")
	b.until(`document.querySelector(".empty") !== null`)
	b.shoot("overview-empty")
	user, _ := a.story()
	a.poison(user)
	a.untilView("parked", func(l viewList) bool { return l.Items[0].Parked == 1 })
	b.open("/console")
	b.until(`document.querySelectorAll(".uplot canvas").length === 3`)
	if got := b.text("#attention"); !strings.Contains(got, "View users has parked 1 aggregate") {
		t.Errorf("what needs attention: %q", got)
	}
	before := eval[string](b, `document.getElementById("head").textContent`)
	a.create(ada)
	b.until(`document.getElementById("head").textContent !== "` + before + `"`)
	b.shoot("overview")
}

// A page whose server is gone says so, and does not pass for one that is live.
func TestBrowserSaysThatTheServerIsAway(t *testing.T) {
	t.Parallel()
	a := start(t)
	b := a.openBrowser()
	b.open("/console")
	b.until(`document.querySelectorAll(".uplot").length === 3 && document.getElementById("away").hidden`)
	a.stop()
	b.until(`!document.getElementById("away").hidden`)
	b.shoot("away")
}

func TestBrowserEventsAndTheirFilters(t *testing.T) {
	t.Parallel()
	a := start(t)
	user, _ := a.story()
	b := a.openBrowser()
	b.open("/console/events")
	b.shoot("events")
	b.click(".filters summary")
	b.do(chromedp.SetValue(chromedp.CSS("#f-name"), "user.updated"))
	b.write("#f-id", user.String()+kb.Enter)
	b.until(`location.search.includes("user.updated") && document.querySelectorAll(".event:not(.head)").length === 3`)
	b.shoot("events-filtered")
	b.write("#find", user.String()+kb.Enter)
	b.until(`location.pathname === "/console/aggregates/` + user.String() + `"`)
}

// The tail follows 500 events a second, keeps a bounded list, goes on after a
// pause where it was, and never freezes the page.
func TestBrowserFollowsTheLogLive(t *testing.T) {
	t.Parallel()
	a := start(t)
	b := a.openBrowser()
	b.open("/console/events")
	eval[int](b, `(() => { let last = performance.now(); window.longest = 0;
		const frame = () => { const now = performance.now(); window.longest = Math.max(window.longest, now - last); last = now; requestAnimationFrame(frame); };
		requestAnimationFrame(frame); return 1; })()`)
	b.click("#tail-toggle")
	b.until(`document.getElementById("tail-state").textContent === "Following"`)
	const perSecond, rounds, ticks = 500, 4, 20
	pace := time.NewTicker(time.Second / ticks)
	defer pace.Stop()
	for range rounds * ticks {
		<-pace.C
		var batch []string
		for range perSecond / ticks {
			batch = append(batch, event(uuid.New(), uuid.New(), "user.created", ada))
		}
		if got := a.post("[" + strings.Join(batch, ",") + "]"); got.status != http.StatusCreated {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	newest := fmt.Sprint(perSecond * rounds)
	top := `document.querySelector(".event:not(.head) .position").textContent`
	b.until(top + ` === "` + newest + `"`)
	if rows := eval[int](b, `document.querySelectorAll(".event:not(.head)").length`); rows != 200 {
		t.Errorf("%d rows are kept", rows)
	}
	longest := eval[float64](b, "window.longest")
	t.Logf("the longest frame took %.0f ms", longest)
	if longest > 2000 {
		t.Errorf("the page froze for %.0f ms", longest)
	}
	b.shoot("events-live")
	b.click("#tail-toggle")
	b.until(`document.getElementById("tail-state").textContent === "Paused"`)
	a.create(`{"name":"` + strings.ReplaceAll(hostile, `"`, `\"`) + `","email":"a@example.com"}`)
	if got := eval[string](b, top); got != newest {
		t.Errorf("while paused the newest is %s", got)
	}
	b.click("#tail-toggle")
	b.until(top + ` === "` + fmt.Sprint(perSecond*rounds+1) + `"`)
	if got := eval[string](b, `document.querySelector(".event:not(.head) .payload").textContent`); !strings.Contains(got, "<script>") {
		t.Errorf("the hostile payload is shown as %q", got)
	}
	b.harmless()
}

// harmless complains if markup of a payload became part of the page.
func (b *tab) harmless() {
	b.t.Helper()
	if got := eval[string](b, `document.title + document.querySelectorAll("main img, main script").length`); !strings.HasSuffix(got, "0") || strings.Contains(got, "owned") {
		b.t.Errorf("a payload did something: %s", got)
	}
}

func TestBrowserSliderGoesThroughTheVersionsAndBack(t *testing.T) {
	t.Parallel()
	a := start(t)
	user, _ := a.story()
	b := a.openBrowser()
	b.open("/console/aggregates/" + user.String())
	b.until(`document.querySelector("#state h2").innerText === "Version 4 of 4"`)
	b.shoot("aggregate")
	b.do(chromedp.Focus(chromedp.CSS("#version")))
	b.keys(kb.ArrowLeft, kb.ArrowLeft)
	b.until(`document.querySelector("#state h2").innerText === "Version 2 of 4"`)
	b.until(`location.search === "?version=2" && document.querySelector(".timeline [aria-current]").dataset.version === "2"`)
	if got := b.text("#state .changed"); !strings.Contains(got, `"Ada Lovelace"`) || !strings.Contains(got, `"Ada King"`) {
		t.Errorf("the change is %q", got)
	}
	if got := eval[string](b, "document.activeElement.id"); got != "version" {
		t.Errorf("the slider lost the focus to %q", got)
	}
	if got := b.text("section:last-of-type .events"); !strings.Contains(got, "user.created") {
		t.Errorf("related events: %q", got)
	}
	b.click(".confirm summary")
	b.shoot("aggregate-revert")
	b.click(".confirm button")
	b.until(`location.search === "?done=reverted" && document.querySelector("#state h2").innerText === "Version 5 of 5"`)
	if got := b.text("main"); !strings.Contains(got, "user.reverted") || !strings.Contains(got, "It was put back") {
		t.Errorf("after the revert: %q", got)
	}
	var row struct{ Name string }
	a.get("/v1/users/"+user.String()+"?min_version=5", "Prefer: wait=10").into(t, &row)
	if row.Name != "Ada King" {
		t.Errorf("the name is %q", row.Name)
	}
}

// A history that is too long for one request is added up by itself, and the
// address stays what the reader made it.
func TestBrowserAddsUpALongHistory(t *testing.T) {
	t.Parallel()
	a := start(t)
	user := uuid.New()
	a.append(user, "user.created", ada)
	db := connect(t, a.database)
	for first := 2; first <= 20_001; first += 1000 {
		if _, err := db.Exec(`SELECT count(*) FROM append_events(
			(SELECT array_agg(gen_random_uuid()) FROM generate_series(1, 1000)), array_fill(?::uuid, ARRAY[1000]), array_fill('user.updated'::text, ARRAY[1000]),
			(SELECT array_agg(json_build_object('name', 'Ada ' || g) ORDER BY g) FROM generate_series(?, ? + 999) g))`, user, first, first); err != nil {
			t.Fatal(err)
		}
	}
	b := a.openBrowser()
	b.open("/console/aggregates/" + user.String())
	b.until(`document.querySelector("#state h2").innerText === "Version 20001 of 20001" && document.querySelector("#state .changed") !== null`)
	if got := b.text("#state .changed"); !strings.Contains(got, `"Ada 20000"`) || !strings.Contains(got, `"Ada 20001"`) {
		t.Errorf("the change is %q", got)
	}
	if got := eval[string](b, "location.search"); got != "" {
		t.Errorf("the address became %q", got)
	}
	b.do(chromedp.Focus(chromedp.CSS("#version")))
	b.keys(kb.Home)
	b.until(`location.search === "?version=1" && document.querySelector("#state .added") !== null`)
	b.keys(kb.End, kb.ArrowLeft)
	b.until(`location.search === "?version=20000" && document.querySelector("#state .changed") !== null`)
}

func TestBrowserEventAndItsCauses(t *testing.T) {
	t.Parallel()
	a := start(t)
	_, first := a.story()
	b := a.openBrowser()
	b.open("/console/events/" + first.String())
	if got := b.text("main"); !strings.Contains(got, "signup-7") || strings.Count(got, "user.updated") < 6 || !strings.Contains(got, "curl -s") {
		t.Errorf("the event: %q", got)
	}
	b.shoot("event")
	b.click(".copy [data-copy]")
	b.until(`/Copied|Selected/.test(document.querySelector("[data-copy]").textContent)`)
}

func TestBrowserViewIsRebuiltAndRetried(t *testing.T) {
	t.Parallel()
	a := start(t)
	user, _ := a.story()
	b := a.openBrowser()
	b.open("/console/views")
	b.until(`document.querySelectorAll(".card .status.live").length === 3`)
	b.shoot("views")
	if _, err := connect(t, a.database).Exec("UPDATE users SET name = 'Nobody'"); err != nil {
		t.Fatal(err)
	}
	b.click("#view-users")
	b.until(`location.pathname === "/console/views/users"`)
	b.click(".confirm summary")
	b.click(".confirm button")
	b.until(`location.search === "?done=rebuild" && document.querySelector("#standing .status").innerText === "live"`)
	a.untilView("rebuilt", func(l viewList) bool { return l.Items[0].Rebuild == nil })
	if got := a.get("/v1/users/" + user.String()); !strings.Contains(got.body, "Countess") {
		t.Errorf("%s", got.body)
	}
	a.poison(user)
	a.untilView("parked", func(l viewList) bool { return l.Items[0].Parked == 1 })
	b.open("/console/views/users")
	b.until(`document.querySelectorAll(".parked li").length === 1 && document.querySelectorAll(".uplot").length === 2`)
	b.shoot("view-parked")
	b.click(".parked button")
	b.until(`location.search === "?done=retry"`)
	// A rebuild that stays: the page shows how far it is.
	if _, err := connect(t, a.database).Exec(`INSERT INTO view_positions (view, "position", halted) VALUES ('users_rebuild', 3, 'for the test')`); err != nil {
		t.Fatal(err)
	}
	b.until(`document.querySelector("#standing progress") !== null && document.querySelector("#standing progress").value > 0`)
	b.shoot("view-rebuilding")
}

func TestBrowserCatalogue(t *testing.T) {
	t.Parallel()
	a := start(t)
	a.story()
	b := a.openBrowser()
	b.open("/console/catalogue")
	b.until(`document.querySelector("#counts [role=status]").innerText.startsWith("All ")`)
	if got := b.text("#counts"); !strings.Contains(got, "payment.flagged_for_review") {
		t.Errorf("the catalogue: %q", got)
	}
	if got := b.text("main"); !strings.Contains(got, "payments.processedV2") {
		t.Errorf("the catalogue names no upcaster: %q", got)
	}
	b.click(".entry details summary")
	b.shoot("catalogue")
}

// A whole event is recorded with the keyboard alone, and a mistake is said beside
// its field.
func TestBrowserAppendsWithTheKeyboard(t *testing.T) {
	t.Parallel()
	a := start(t)
	b := a.openBrowser()
	b.open("/console/append")
	b.shoot("append-choice")
	b.open("/console/append/users/user.created")
	b.keys(kb.Tab)
	if got := eval[string](b, "document.activeElement.className"); got != "skip" {
		t.Errorf("the first stop is %q", got)
	}
	b.keys(kb.Enter, kb.Tab, kb.Tab)
	if got := eval[string](b, "document.activeElement.id"); got != "payload.name" {
		t.Errorf("after skipping, the focus is on %q", got)
	}
	b.keys("Ada", kb.Tab, "not an address")
	b.keys(kb.Enter)
	b.until(`document.querySelector(".field.invalid") !== null`)
	if got := b.text(".field.invalid"); !strings.Contains(got, "Email") || eval[string](b, `document.getElementById("payload.name").value`) != "Ada" {
		t.Errorf("the mistake is at %q", got)
	}
	b.shoot("append")
	b.do(chromedp.Clear(chromedp.CSS(`[id="payload.email"]`)))
	b.write(`[id="payload.email"]`, "ada@example.com"+kb.Enter)
	b.until(`location.pathname.startsWith("/console/events/") && document.querySelector("h1").innerText === "user.created"`)
}

// Markup in a payload is text on every page, in a real browser with scripts on.
func TestBrowserShowsHostilePayloadsAsText(t *testing.T) {
	t.Parallel()
	a := start(t)
	b := a.openBrowser()
	user := uuid.New()
	quoted := strings.ReplaceAll(hostile, `"`, `\"`)
	id := uuid.New()
	body := strings.TrimSuffix(event(id, user, "user.created", `{"name":"`+quoted+`","email":"a@example.com"}`), "}") +
		`,"metadata":{"correlation_id":"` + quoted + `","` + quoted + `":"` + quoted + `"}}`
	if got := a.post(body, "Prefer: wait=10"); got.status != http.StatusCreated {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for _, path := range screens(user, id) {
		b.open(path)
		b.harmless()
	}
	b.open("/console/aggregates/" + user.String())
	b.shoot("hostile")
}

func TestBrowserSignsIn(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, database, "--auth=keys")
	key := strings.TrimPrefix(makeKey(t, database, "ada", "events:read"), "Authorization: Bearer ")
	b := a.openBrowser()
	b.open("/console/views")
	b.shoot("sign-in")
	b.write("#credential", "onepg_wrong"+kb.Enter)
	b.until(`document.querySelector("[role=alert]") !== null`)
	b.write("#credential", key+kb.Enter)
	b.until(`location.pathname === "/console/views" && document.querySelector(".who").innerText.includes("key:ada")`)
	if got := eval[string](b, "document.cookie"); got != "" {
		t.Errorf("scripts can read the cookie: %s", got)
	}
	b.open("/console/events")
	b.click("#tail-toggle")
	b.until(`document.getElementById("tail-state").textContent === "Following"`)
	b.click(".who button")
	b.until(`location.pathname === "/console/sign-in"`)
	b.open("/console/events")
	b.until(`document.querySelector("#credential") !== null`)
}
