package app_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"onepg/internal/app"
	"onepg/internal/auth"
	"onepg/internal/domains"
	"onepg/internal/domains/users"
	"onepg/internal/postgres/pgtest"
)

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// makeKey is `app keys create`.
func makeKey(t *testing.T, database, name string, scopes ...string) (header string) {
	t.Helper()
	secret, err := auth.NewKeys(connect(t, database), nil).Create(t.Context(), auth.NewKey{Name: name, Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: Bearer " + secret
}

// A server hears of a revocation long before it would ask again. Why three keys:
// it may not listen yet when the first is revoked.
func TestARevokedKeyIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, database, "--auth=keys")
	const remembered = 5 * time.Second
	var took time.Duration
	for _, name := range []string{"first", "second", "third"} {
		key := makeKey(t, database, name, "users:read")
		if got := a.get("/v1/users", key); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		revoked := time.Now()
		if err := auth.NewKeys(connect(t, database), nil).Revoke(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a revoked key is refused", func() bool { return a.get("/v1/users", key).status == http.StatusUnauthorized })
		if took = time.Since(revoked); took < remembered-time.Second {
			return
		}
	}
	t.Errorf("refused after %s, which is when the server asks again anyway", took)
}

// Every route that is not public says 401 to nobody, 403 to a key without its
// scope, and neither to one with it.
func TestEveryRouteAsksForItsScope(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, database, "--auth=keys")
	nothing := makeKey(t, database, "nothing", "nothing:read")
	public, seen := map[string]bool{}, 0
	for _, path := range []string{"/", "/livez", "/readyz", "/openapi.json", "/docs"} {
		public[path] = true
	}
	var index struct{ Links []string }
	a.get("/").into(t, &index)
	var spec struct {
		Paths map[string]map[string]struct{ Security []map[string][]string }
	}
	a.get("/openapi.json").into(t, &spec)
	check := func(method, path string) {
		t.Helper()
		seen++
		path = regexp.MustCompile(`{[^}]*}`).ReplaceAllString(path, uuid.NewString())
		got := a.do(method, path, "")
		if public[path] {
			if got.status != 200 {
				t.Errorf("%s %s: %d", method, path, got.status)
			}
			return
		}
		// A page says the same in words for people.
		hasBody := method != http.MethodHead && path != "/console"
		if got.status != 401 || (hasBody && got.code() != "unauthenticated") || got.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s %s as nobody: %d %v %s", method, path, got.status, got.header, got.body)
		}
		if got := a.do(method, path, "", nothing); got.status != 403 || (hasBody && got.code() != "forbidden") {
			t.Errorf("%s %s without the scope: %d %s", method, path, got.status, got.body)
		}
	}
	for _, path := range append(index.Links, "/", "/metrics") {
		check("GET", path)
		check("HEAD", path)
	}
	for path, methods := range spec.Paths {
		for method := range methods {
			check(strings.ToUpper(method), path)
		}
	}
	if seen < 30 {
		t.Errorf("only %d routes were tried", seen)
	}
	metrics := makeKey(t, database, "prometheus", "metrics:read")
	if got := a.get("/metrics", metrics); got.status != 200 || !strings.Contains(got.body, "go_goroutines") {
		t.Errorf("metrics with the scope: %d", got.status)
	}
	if got := a.get("/v1/users", metrics); got.status != 403 || !strings.Contains(got.body, "users:read") {
		t.Errorf("users with the scope of metrics: %d %s", got.status, got.body)
	}
}

// P17.
func TestTheRecordedActorIsTheCredentials(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, database, "--auth=keys")
	web := makeKey(t, database, "web", "users:write", "events:read")
	actor := func(id uuid.UUID) string {
		var e struct{ Actor string }
		a.get("/v1/events/"+id.String(), web).into(t, &e)
		return e.Actor
	}
	id := uuid.New()
	spoofed := event(id, uuid.New(), "user.created", ada)
	if got := a.post(strings.TrimSuffix(spoofed, "}")+`,"actor":"key:root"}`, web); got.status != 422 {
		t.Errorf("an actor in the body: %d %s", got.status, got.body)
	}
	got := a.post(strings.TrimSuffix(spoofed, "}")+`,"metadata":{"actor":"key:root"}}`, web,
		"Actor: key:root", "X-Actor: key:root", "X-Forwarded-User: root", "From: root@example.com")
	if got.status != 201 || actor(id) != "key:web" {
		t.Errorf("%d, the actor is %q", got.status, actor(id))
	}
	other := makeKey(t, database, "other", "users:write")
	if got := a.post(spoofed, other); got.status != 200 || actor(id) != "key:web" {
		t.Errorf("repeated by another: %d, the actor is %q", got.status, actor(id))
	}
	open := startOn(t, database)
	anonymous := uuid.New()
	if got := open.post(event(anonymous, uuid.New(), "user.created", ada), web); got.status != 201 || actor(anonymous) != "anonymous" {
		t.Errorf("without access control: %d, the actor is %q", got.status, actor(anonymous))
	}
}

func TestCommandsAndRevertsAreRecordedUnderTheCredential(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, database, "--auth=keys")
	key := makeKey(t, database, "till", "payments:write", "users:admin", "events:read")
	payment := "/v1/payments/" + uuid.NewString() + "/process"
	if got := a.do(http.MethodPost, payment, paying(uuid.New(), "100.00", "USD", "credit_card"), key, "Idempotency-Key: k"); got.status != 200 {
		t.Errorf("process: %d %s", got.status, got.body)
	}
	user := uuid.New()
	a.post(event(uuid.New(), user, "user.created", ada), key)
	a.post(event(uuid.New(), user, "user.updated", `{"name":"B"}`), key)
	revert := `{"id":"` + uuid.NewString() + `","to_version":1}`
	if got := a.do(http.MethodPost, "/v1/users/"+user.String()+"/revert", revert, key); got.status != 201 {
		t.Errorf("revert: %d %s", got.status, got.body)
	}
	var log struct {
		Items []struct{ Name, Actor string }
	}
	a.get("/v1/events", key).into(t, &log)
	if len(log.Items) != 5 {
		t.Errorf("%d events", len(log.Items))
	}
	for _, e := range log.Items {
		if e.Actor != "key:till" {
			t.Errorf("%s was recorded by %q", e.Name, e.Actor)
		}
	}
}

func TestTokensOpenTheAPI(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "a"}}})
	}))
	defer issuer.Close()
	a := startOn(t, pgtest.New(t), "--auth=jwt", "--jwt-keys="+issuer.URL, "--jwt-issuer=https://id.example.com",
		"--jwt-audience=onepg", "--jwt-scope-claim=permissions")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: private, KeyID: "a"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token := func(permissions ...string) string {
		text, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": "https://id.example.com", "aud": "onepg", "sub": "auth0|42", "exp": time.Now().Add(time.Hour).Unix(),
			"permissions": permissions, "scope": "users:write",
		}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + text
	}
	id := uuid.New()
	if got := a.post(event(id, uuid.New(), "user.created", ada), token("events:read")); got.status != 403 {
		t.Errorf("the scope of another claim: %d %s", got.status, got.body)
	}
	if got := a.post(event(id, uuid.New(), "user.created", ada), token("users:write")); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := a.get("/v1/events/"+id.String(), token("events:read")); !strings.Contains(got.body, `"actor":"jwt:auth0|42"`) {
		t.Errorf("%s", got.body)
	}
	if got := a.get("/v1/events", token()[:80]); got.status != 401 || strings.Contains(got.body, "eyJ") {
		t.Errorf("half a token: %d %s", got.status, got.body)
	}
}

func TestOverTheRateIsRefusedWithAnAdvice(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, database, "--auth=keys", "--rate=1", "--rate-burst=3")
	web, other := makeKey(t, database, "web", "users:read"), makeKey(t, database, "other", "users:read")
	var got answer
	for i := 0; i < 20 && got.status != 429; i++ {
		got = a.get("/v1/users", web)
	}
	if got.status != 429 || got.code() != "rate-limited" || got.header.Get("Retry-After") != "1" {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if got := a.get("/v1/users", other); got.status != 200 {
		t.Errorf("another key: %d", got.status)
	}
	for i := range 20 {
		if got := a.get("/livez"); got.status != 200 {
			t.Errorf("probe %d: %d", i, got.status)
		}
	}
}

func TestPagesOfConfiguredOriginsMayUseTheAPI(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	closed := startOn(t, database, "--auth=keys")
	a := startOn(t, database, "--auth=keys", "--cors-origins=https://app.example.com,http://localhost:3000")
	web := makeKey(t, database, "web", "users:read")
	preflight := []string{"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type"}
	ask := func(a *api, path, origin string) answer {
		return a.do(http.MethodOptions, path, "", append(preflight, "Origin: "+origin)...)
	}
	if got := ask(closed, "/v1/users/events", "https://app.example.com"); got.status != 405 || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("not configured: %d %v", got.status, got.header)
	}
	got := ask(a, "/v1/users/events", "https://app.example.com")
	if got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" ||
		!strings.Contains(got.header.Get("Access-Control-Allow-Methods"), "POST") || got.header.Get("Access-Control-Allow-Credentials") != "" ||
		!strings.Contains(got.header.Get("Access-Control-Allow-Headers"), "Authorization") || got.header.Get("Vary") != "Origin" {
		t.Errorf("preflight: %d %v", got.status, got.header)
	}
	for _, origin := range []string{"https://evil.example.com", "null", "https://app.example.com.evil.example", "http://app.example.com", "https://APP.example.com"} {
		if got := ask(a, "/v1/users/events", origin); got.status != 405 || got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %v", origin, got.status, got.header)
		}
	}
	if got := ask(a, "/v1/nothing", "http://localhost:3000"); got.status != 404 {
		t.Errorf("an unknown path: %d", got.status)
	}
	if got := a.do(http.MethodOptions, "/v1/users", "", "Origin: http://localhost:3000"); got.status != 405 {
		t.Errorf("OPTIONS that is no preflight: %d", got.status)
	}
	// An answer and a problem alike can be read by the page.
	for header, want := range map[string]int{web: 200, "X: y": 401} {
		got := a.get("/v1/users", header, "Origin: http://localhost:3000")
		if got.status != want || got.header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" || got.header.Get("Vary") != "Origin" ||
			!strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "ETag") {
			t.Errorf("%d %v, want %d", got.status, got.header, want)
		}
	}
	if got := a.get("/v1/users", web); got.header.Get("Vary") != "Origin" || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("no origin: %v", got.header)
	}
}

// The browser of whoever tries this on their machine shows other pages too, and sends
// a POST without a body for any of them.
func TestWithoutAccessControlNoOtherPageChangesAnything(t *testing.T) {
	t.Parallel()
	a := start(t, "--cors-origins=http://localhost:3000")
	for what, c := range map[string]struct {
		want    int
		headers []string
	}{
		"a program":                {202, nil},
		"a page of a known origin": {202, []string{"Origin: http://localhost:3000", "Sec-Fetch-Site: cross-site"}},
		"another page":             {403, []string{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site"}},
		"an old browser's":         {403, []string{"Origin: http://evil.example"}},
	} {
		if got := a.do(http.MethodPost, "/v1/views/users/parked/retry", "", c.headers...); got.status != c.want {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	if got := a.get("/v1/users", "Origin: http://evil.example", "Sec-Fetch-Site: cross-site"); got.status != 200 {
		t.Errorf("a read, which the browser keeps from the page: %d", got.status)
	}
}

// P18: a key is in no log line and no answer, whatever it is used for.
func TestCredentialsReachNoLogAndNoAnswer(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	log := new(safeBuffer)
	a := startLogging(t, log, slog.LevelDebug, "--auth=keys", "--database-url="+database, "--rate=5", "--rate-burst=5")
	good := makeKey(t, database, "web", "users:read", "users:write")
	const canary = "onepg_KANARIENVOGELKANARIENVOGEL"
	var answers strings.Builder
	note := func(got answer) { answers.WriteString(got.body); _ = got.header.Write(&answers) }
	for _, header := range []string{good, "Authorization: Bearer " + canary, "Authorization: Basic " + canary, "Authorization: " + canary, "X-Request-ID: x"} {
		for range 3 {
			note(a.get("/v1/users", header))
			note(a.get("/metrics", header))
			note(a.post("{", header))
		}
		note(a.get("/v1/users?access_token="+canary, header))
		note(a.get("/"+canary, header))
	}
	if _, err := connect(t, database).ExecContext(t.Context(), "ALTER TABLE api_keys RENAME TO gone"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an answer that is not the rate limit's", func() bool {
		got := a.get("/v1/users", "Authorization: Bearer "+canary+"2")
		note(got)
		return got.status == http.StatusServiceUnavailable && strings.Contains(got.body, "app migrate up")
	})
	a.stop()
	secret := strings.TrimPrefix(good, "Authorization: Bearer onepg_")
	for where, text := range map[string]string{"the log": log.String(), "the answers": answers.String()} {
		if strings.Contains(text, secret) || strings.Contains(text, "KANARIENVOGEL") {
			t.Errorf("a credential is in %s:\n%s", where, text)
		}
		if !strings.Contains(text, "request_id") && !strings.Contains(text, "instance") {
			t.Errorf("%s says nothing", where)
		}
	}
}

func TestScopesAreThoseOfTheRoutes(t *testing.T) {
	t.Parallel()
	scopes, err := app.Scopes([]domains.Constructor{users.New})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"users:read", "users:write", "events:read", "views:read", "metrics:read"} {
		if !strings.Contains(strings.Join(scopes, " "), want) {
			t.Errorf("%s is missing from %v", want, scopes)
		}
	}
}
