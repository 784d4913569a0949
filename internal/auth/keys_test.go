package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"onepg/internal/auth"
	"onepg/internal/fault"
	"onepg/internal/postgres/pgtest"
)

// keyring is the keys of a fresh database, behind a guard.
type keyring struct {
	*auth.Keys
	*door

	clock *clock
	url   string
}

func newKeyring(t *testing.T) *keyring {
	t.Helper()
	url, c := pgtest.New(t), newClock()
	keys := auth.NewKeys(connect(t, url), slog.New(slog.DiscardHandler))
	return &keyring{Keys: keys, clock: c, url: url, door: guarded(t, auth.Options{Verifier: keys, Clock: c.Now})}
}

func (k *keyring) create(key auth.NewKey) string {
	k.t.Helper()
	secret, err := k.Create(k.t.Context(), key)
	if err != nil {
		k.t.Fatal(err)
	}
	return secret
}

func TestAKeyOpensWhatItsScopesSay(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	web := k.create(auth.NewKey{Name: "web", Scopes: auth.Scopes{"users:write", "views:admin"}})
	for scope, want := range map[string]int{
		"users:write": 200, "users:read": 403, "views:admin": 200, "views:read": 200,
		"events:read": 403, "metrics:read": 403, "users:admin": 403,
	} {
		body := k.want(want, scope, web)
		if want == 200 && body != "key:web" {
			t.Errorf("%s: the actor is %q", scope, body)
		}
		if want == 403 && !strings.Contains(body, scope) {
			t.Errorf("%s: the refusal does not name the scope: %s", scope, body)
		}
	}
}

func TestBadCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	good := k.create(auth.NewKey{Name: "good", Scopes: auth.Scopes{"users:read"}})
	expired := k.create(auth.NewKey{Name: "expired", Scopes: auth.Scopes{"users:read"}, ValidFor: time.Millisecond})
	revoked := k.create(auth.NewKey{Name: "revoked", Scopes: auth.Scopes{"users:read"}})
	if err := k.Revoke(t.Context(), "revoked"); err != nil {
		t.Fatal(err)
	}
	for what, headers := range map[string][]string{
		"none":              nil,
		"empty":             {"Authorization: "},
		"no scheme":         {"Authorization: " + good},
		"another scheme":    {"Authorization: Basic " + good},
		"no credential":     {"Authorization: Bearer"},
		"two credentials":   {"Authorization: Bearer " + good, "Authorization: Bearer " + good},
		"two in one header": {"Authorization: Bearer " + good + ", Bearer " + good},
		"not a token":       {"Authorization: Bearer " + good + "\"'"},
		"unknown":           {"Authorization: Bearer onepg_AAAAAAAAAAAAAAAAAAAAAAAAAA"},
		"not of ours":       {"Authorization: Bearer " + strings.TrimPrefix(good, "onepg_")},
		"one character off": {"Authorization: Bearer " + good[:len(good)-1] + "-"},
		"too long":          {"Authorization: Bearer " + good + strings.Repeat("=", 8<<10)},
		"expired":           {"Authorization: Bearer " + expired},
		"revoked":           {"Authorization: Bearer " + revoked},
		"in a cookie":       {"Cookie: Authorization=" + good},
	} {
		if status, body, _ := k.knock("users:read", headers...); status != 401 {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	if status, body, _ := k.knock("users:read", "Authorization: bearer "+good); status != 200 {
		t.Errorf("the good one, with the scheme in lower case: %d %s", status, body)
	}
}

// The bound that the package promises, on two replicas.
func TestARevokedKeyIsRefusedWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	replica := guarded(t, auth.Options{Verifier: auth.NewKeys(connect(t, k.url), nil), Clock: k.clock.Now})
	web := k.create(auth.NewKey{Name: "web", Scopes: auth.Scopes{"users:read"}})
	k.want(200, "users:read", web)
	replica.want(200, "users:read", web)
	if err := k.Revoke(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	k.clock.advance(5 * time.Second)
	k.want(401, "users:read", web)
	replica.want(401, "users:read", web)
}

func TestARevokedKeyIsRefusedAtOnceByWhoHearsOfIt(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	web := k.create(auth.NewKey{Name: "web", Scopes: auth.Scopes{"users:read"}})
	k.want(200, "users:read", web)
	if err := k.Revoke(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	k.want(200, "users:read", web)
	k.guard.Forget()
	k.want(401, "users:read", web)
}

// An answer that was on its way when somebody revoked the key is not kept.
func TestAnAnswerFromBeforeIsNotRemembered(t *testing.T) {
	t.Parallel()
	v := &slowVerifier{asked: make(chan struct{}), answer: make(chan error)}
	d := guarded(t, auth.Options{Verifier: v, Clock: newClock().Now})
	first := make(chan struct{})
	go func() { d.want(200, "users:read", "key"); close(first) }()
	<-v.asked
	d.guard.Forget()
	v.answer <- nil
	<-first
	go func() { <-v.asked; v.answer <- fault.New(fault.Unauthenticated, "unauthenticated", "It is revoked.") }()
	d.want(401, "users:read", "key")
}

// slowVerifier says that it was asked and answers when it is told what.
type slowVerifier struct {
	asked  chan struct{}
	answer chan error
}

func (v *slowVerifier) Verify(context.Context, string) (auth.Identity, error) {
	v.asked <- struct{}{}
	return auth.Identity{Actor: "key:web", Scopes: auth.Scopes{"users:read"}}, <-v.answer
}

func (v *slowVerifier) Run(context.Context) {}

func TestAKeyInUseCostsNoQuery(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	web := k.create(auth.NewKey{Name: "web", Scopes: auth.Scopes{"users:read"}})
	other := k.create(auth.NewKey{Name: "other", Scopes: auth.Scopes{"users:read"}})
	k.want(200, "users:read", web)
	if _, err := connect(t, k.url).ExecContext(t.Context(), "ALTER TABLE api_keys RENAME TO gone"); err != nil {
		t.Fatal(err)
	}
	k.clock.advance(4 * time.Second)
	k.want(200, "users:read", web)
	k.want(503, "users:read", other)
	k.clock.advance(time.Second)
	k.want(503, "users:read", web)
}

func TestAKeysNameIsGivenOnce(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	k.create(auth.NewKey{Name: "web", Scopes: auth.Scopes{"users:read"}})
	if err := k.Revoke(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if err := k.Revoke(t.Context(), "web"); err != nil {
		t.Errorf("revoked twice: %v", err)
	}
	if err := k.Revoke(t.Context(), "nobody"); !fault.Is(err, "key-unknown") {
		t.Errorf("revoked nobody: %v", err)
	}
	for code, key := range map[string]auth.NewKey{
		"key-exists":    {Name: "web", Scopes: auth.Scopes{"users:read"}},
		"key-invalid":   {Name: "Web", Scopes: auth.Scopes{"users:read"}},
		"key-invalid ":  {Name: "", Scopes: auth.Scopes{"users:read"}},
		"key-invalid  ": {Name: "web:2", Scopes: auth.Scopes{"users:read"}},
		"key-invalid\t": {Name: "web2"},
	} {
		if _, err := k.Create(t.Context(), key); !fault.Is(err, strings.TrimSpace(code)) {
			t.Errorf("%+v: %v", key, err)
		}
	}
}

func TestSecretsAreStoredNowhere(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	secret := k.create(auth.NewKey{Name: "web", Scopes: auth.Scopes{"users:read"}})
	k.want(200, "users:read", secret)
	var rows []string
	if err := connect(t, k.url).NewRaw("SELECT k::text FROM api_keys k").Scan(t.Context(), &rows); err != nil {
		t.Fatal(err)
	}
	list, err := k.List(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%v %v", list, err)
	}
	listed, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(rows, string(listed)) {
		if strings.Contains(text, strings.TrimPrefix(secret, "onepg_")) || !strings.Contains(text, "web") {
			t.Errorf("%s", text)
		}
	}
}

func TestTheLastUseIsNoted(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	k.want(200, "users:read", k.create(auth.NewKey{Name: "used", Scopes: auth.Scopes{"users:read"}}))
	k.create(auth.NewKey{Name: "unused", Scopes: auth.Scopes{"users:read"}})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	k.Run(ctx) // as when the server stops
	list, err := k.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%v %v", list, err)
	}
	if list[0].LastUsedAt != nil || list[1].LastUsedAt == nil || time.Since(list[1].LastUsedAt.Time) > time.Minute {
		t.Errorf("%+v", list)
	}
}

func TestAnUnwrittenUseIsWrittenNextTime(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	db, log := connect(t, url), new(bytes.Buffer)
	keys := auth.NewKeys(db, slog.New(slog.NewTextHandler(log, nil)))
	secret, err := keys.Create(t.Context(), auth.NewKey{Name: "web", Scopes: auth.Scopes{"users:read"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Verify(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	exec := func(sql string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("ALTER TABLE api_keys RENAME TO gone")
	keys.Run(ctx)
	if !strings.Contains(log.String(), "could not be written") {
		t.Errorf("the log says %q", log)
	}
	exec("ALTER TABLE gone RENAME TO api_keys")
	keys.Run(ctx)
	if list, err := keys.List(t.Context()); err != nil || list[0].LastUsedAt == nil {
		t.Errorf("%+v %v", list, err)
	}
}

func TestADatabaseWithoutTheTableSaysWhatToDo(t *testing.T) {
	t.Parallel()
	keys := auth.NewKeys(connect(t, pgtest.Empty(t)), nil)
	if _, err := keys.List(t.Context()); !fault.Is(err, "unavailable") || !strings.Contains(err.Error(), "app migrate up") {
		t.Errorf("%v", err)
	}
}

func TestWithoutAccessControlOnlyLoopbackNamesAreServed(t *testing.T) {
	t.Parallel()
	d := guarded(t, auth.Options{Clock: time.Now})
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8080": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "127.8.9.1": 200, "[::1]": 200,
		"evil.example": 403, "evil.example:8080": 403, "localhost.evil.example": 403, "192.0.2.1": 403, "127.0.0.1.evil.example:80": 403,
	} {
		status, body, _ := d.knock("users:read", "Host: "+host)
		if status != want || (want == http.StatusOK && body != "anonymous") {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}
}
