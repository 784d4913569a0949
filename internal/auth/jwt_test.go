package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"onepg/internal/auth"
	"onepg/internal/fault"
)

const (
	issuerName = "https://id.example.com"
	audience   = "onepg"
)

// issuer signs tokens and serves its public keys.
type issuer struct {
	t     *testing.T
	clock *clock
	url   string

	mu      sync.Mutex
	keys    map[string]crypto.Signer // by kid; what is served
	broken  bool
	fetched int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, clock: newClock(), keys: map[string]crypto.Signer{"rsa": sharedRSA(), "ec": newEC(t), "ed": newEd(t)}}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetched++
	if i.broken {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	_, _ = w.Write(keySetOf(i.keys))
}

func (i *issuer) fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetched
}

func (i *issuer) change(do func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	do()
}

func keySetOf(keys map[string]crypto.Signer) []byte {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: []byte("a symmetric key does not belong here"), KeyID: "oct"}}}
	for id, key := range keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Use: "sig"})
	}
	return marshal(set)
}

// sharedRSA is every issuer's: one takes a second to make under the race detector.
var sharedRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEC(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// open gives a door for the issuer's tokens, with the keys from its URL.
func (i *issuer) open() *door {
	i.t.Helper()
	return i.openWith(i.url)
}

func (i *issuer) openWith(place string) *door {
	i.t.Helper()
	tokens, err := i.tokens(place)
	if err != nil {
		i.t.Fatal(err)
	}
	return guarded(i.t, auth.Options{Verifier: tokens, Clock: i.clock.Now})
}

func (i *issuer) tokens(place string) (*auth.Tokens, error) {
	return auth.NewTokens(i.t.Context(), auth.TokenOptions{
		KeySet: place, Issuer: issuerName, Audience: audience, ScopeClaim: "scope",
		Clock: i.clock.Now, Logger: slog.New(slog.DiscardHandler),
	})
}

// claims are good ones, with some replaced; nil takes one out.
func (i *issuer) claims(replaced map[string]any) map[string]any {
	now := i.clock.Now()
	c := map[string]any{
		"iss": issuerName, "aud": []string{"other", audience}, "sub": "ada", "scope": "users:read events:read",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
	maps.Copy(c, replaced)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes a token with the key named kid.
func (i *issuer) sign(kid string, replaced map[string]any) string {
	i.t.Helper()
	i.mu.Lock()
	key := i.keys[kid]
	i.mu.Unlock()
	return signWith(i.t, key, kid, i.claims(replaced))
}

func signWith(t *testing.T, key any, kid string, claims map[string]any) string {
	t.Helper()
	algorithm := jose.EdDSA
	switch key.(type) {
	case *rsa.PrivateKey:
		algorithm = jose.RS256
	case *ecdsa.PrivateKey:
		algorithm = jose.ES256
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func encode(v any) string {
	return base64.RawURLEncoding.EncodeToString(marshal(v))
}

func TestATokenOpensWhatItsScopesSay(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := i.open()
	for _, kid := range []string{"rsa", "ec", "ed"} {
		if body := d.want(200, "users:read", i.sign(kid, nil)); body != "jwt:ada" {
			t.Errorf("%s: the actor is %q", kid, body)
		}
	}
	for what, c := range map[string]struct {
		claim any
		want  int
	}{
		"an array":              {[]string{"users:read"}, 200},
		"another scope":         {"users:write", 403},
		"an array of others":    {[]string{"users:write"}, 403},
		"a part of the text":    {"xusers:read users:readx", 403},
		"none":                  {nil, 403},
		"admin of the domain":   {"users:admin", 200},
		"an object":             {map[string]any{"users:read": true}, 401},
		"an array of something": {[]any{"users:read", 1}, 401},
	} {
		if status, body, _ := d.knock("users:read", "Authorization: Bearer "+i.sign("ed", map[string]any{"scope": c.claim})); status != c.want {
			t.Errorf("scopes as %s: %d %s, want %d", what, status, body, c.want)
		}
	}
	d.want(200, "users:read", i.sign("ec", map[string]any{"aud": audience}))
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := i.open()
	public := i.keys["rsa"].Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	hs256 := func(secret []byte) string {
		text := encode(map[string]any{"alg": "HS256", "typ": "JWT", "kid": "rsa"}) + "." + encode(i.claims(nil))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	none := func(algorithm string) string {
		return encode(map[string]any{"alg": algorithm, "typ": "JWT"}) + "." + encode(i.claims(nil)) + "."
	}
	mine := newRSA(t)
	good := i.sign("rsa", nil)
	parts := strings.Split(good, ".")
	embedded := func() string { // the token brings its own key along
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: mine}, (&jose.SignerOptions{EmbedJWK: true}).WithHeader("kid", "rsa"))
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Signed(signer).Claims(i.claims(nil)).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for what, token := range map[string]string{
		"alg none":                       none("none"),
		"alg None":                       none("None"),
		"no alg":                         encode(map[string]any{"typ": "JWT"}) + "." + encode(i.claims(nil)) + ".",
		"HS256 with the public key":      hs256(publicPEM),
		"HS256 with the key's DER":       hs256(der),
		"HS256 with a symmetric key":     hs256([]byte("a symmetric key does not belong here")),
		"somebody else's key":            signWith(t, mine, "rsa", i.claims(nil)),
		"somebody else's key, no kid":    signWith(t, mine, "", i.claims(nil)),
		"a key in the header":            embedded(),
		"the kid of another key":         signWith(t, i.keys["rsa"], "ec", i.claims(nil)),
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"other claims":                   parts[0] + "." + encode(i.claims(map[string]any{"sub": "eve"})) + "." + parts[2],
		"other header":                   encode(map[string]any{"alg": "RS256", "kid": "rsa", "x": 1}) + "." + parts[1] + "." + parts[2],
		"four parts":                     good + ".e30",
		"two parts":                      parts[0] + "." + parts[1],
		"a critical header nobody knows": encode(map[string]any{"alg": "RS256", "kid": "rsa", "crit": []string{"x"}, "x": 1}) + "." + parts[1] + "." + parts[2],
	} {
		if status, body, _ := d.knock("users:read", "Authorization: Bearer "+token); status != 401 {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	d.want(200, "users:read", good)
	d.want(200, "users:read", signWith(t, i.keys["rsa"], "", i.claims(nil))) // the kid is optional
}

func TestTokensForOthersAndOtherTimesAreRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := i.open()
	at := func(d time.Duration) int64 { return i.clock.Now().Add(d).Unix() }
	for what, c := range map[string]struct {
		claims map[string]any
		want   int
	}{
		"another issuer":              {map[string]any{"iss": "https://evil.example.com"}, 401},
		"no issuer":                   {map[string]any{"iss": nil}, 401},
		"another audience":            {map[string]any{"aud": "other"}, 401},
		"no audience":                 {map[string]any{"aud": nil}, 401},
		"an empty audience":           {map[string]any{"aud": []string{}}, 401},
		"expired":                     {map[string]any{"exp": at(-40 * time.Second)}, 401},
		"expired within the leeway":   {map[string]any{"exp": at(-20 * time.Second)}, 200},
		"never expires":               {map[string]any{"exp": nil}, 401},
		"expires as text":             {map[string]any{"exp": "2099-01-01"}, 401},
		"not valid yet":               {map[string]any{"nbf": at(40 * time.Second)}, 401},
		"not valid within the leeway": {map[string]any{"nbf": at(20 * time.Second)}, 200},
		"issued in the future":        {map[string]any{"iat": at(time.Hour)}, 401},
		"no subject":                  {map[string]any{"sub": nil}, 401},
		"a subject with a line break": {map[string]any{"sub": "ada\nkey:web"}, 401},
		"a subject with a NUL":        {map[string]any{"sub": "ada\x00"}, 401},
		"a subject of 201 bytes":      {map[string]any{"sub": strings.Repeat("a", 201)}, 401},
		"a subject of 200 bytes":      {map[string]any{"sub": strings.Repeat("a", 200)}, 200},
		"no nbf and iat":              {map[string]any{"nbf": nil, "iat": nil}, 200},
	} {
		token := i.sign("ed", c.claims)
		if status, body, _ := d.knock("users:read", "Authorization: Bearer "+token); status != c.want {
			t.Errorf("%s: %d %s, want %d", what, status, body, c.want)
		}
	}
}

func TestATokenEndsWhenItSays(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := i.open()
	token := i.sign("ec", map[string]any{"exp": i.clock.Now().Add(time.Second).Unix()})
	d.want(200, "users:read", token)
	i.clock.advance(37 * time.Second) // its second, the leeway, what is remembered, and the rounding
	d.want(401, "users:read", token)
}

func TestRotatedKeysAreFetchedOnceAndWithdrawnOnesRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := i.open()
	old := i.sign("rsa", nil)
	d.want(200, "users:read", old)
	i.change(func() {
		delete(i.keys, "rsa")
		i.keys["next"] = newEC(t)
	})
	next := i.sign("next", nil)
	d.want(401, "users:read", next) // asked a moment ago
	i.clock.advance(10 * time.Second)
	before := i.fetches()
	d.want(200, "users:read", next)
	d.want(401, "users:read", old)
	for range 5 {
		d.want(401, "users:read", signWith(t, newEd(t), "stranger", i.claims(nil)))
	}
	if fetched := i.fetches() - before; fetched != 1 {
		t.Errorf("the keys were fetched %d times, want 1", fetched)
	}
}

func TestABadSignatureUnderAKnownKeyAsksNobody(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := i.open()
	i.clock.advance(time.Hour)
	before := i.fetches()
	d.want(401, "users:read", signWith(t, newEd(t), "ed", i.claims(nil)))
	if i.fetches() != before {
		t.Error("the keys were fetched")
	}
}

func TestWhileTheIssuerIsAwayKnownKeysHoldAndUnknownOnesAreUnavailable(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := i.open()
	i.change(func() { i.broken, i.keys["next"] = true, newEC(t) })
	i.clock.advance(10 * time.Second)
	next := i.sign("next", nil)
	d.want(503, "users:read", next)
	d.want(503, "users:read", next) // still, without asking again
	d.want(200, "users:read", i.sign("ed", nil))
	i.change(func() { i.broken = false })
	i.clock.advance(10 * time.Second)
	d.want(200, "users:read", next)
}

func TestKeysMayComeFromAFile(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	path := filepath.Join(t.TempDir(), "keys.json")
	write := func() {
		if err := os.WriteFile(path, keySetOf(i.keys), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	d := i.openWith(path)
	d.want(200, "users:read", i.sign("rsa", nil))
	i.keys["next"] = newEC(t)
	write()
	i.clock.advance(10 * time.Second)
	d.want(200, "users:read", i.sign("next", nil))
}

func TestAUselessKeySetFailsTheStart(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: newEC(t), KeyID: "private"}}})
	if err != nil {
		t.Fatal(err)
	}
	encryption, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: newEC(t).Public(), Use: "enc"}}})
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string][]byte{
		"empty": nil, "no JSON": []byte("keys"), "no keys": []byte(`{"keys":[]}`), "HTML": []byte("<html>"),
		"a weak key": keySetOf(map[string]crypto.Signer{"weak": weak}), "another curve": keySetOf(map[string]crypto.Signer{"p384": p384}),
		"a private key": private, "a key for encryption": encryption, "a symmetric key": keySetOf(nil),
	} {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := i.tokens(path); !fault.Is(err, "jwt-keys-unavailable") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := i.tokens(filepath.Join(t.TempDir(), "missing.json")); !fault.Is(err, "jwt-keys-unavailable") {
		t.Errorf("a missing file: %v", err)
	}
	redirect := httptest.NewServer(http.RedirectHandler(i.url, http.StatusFound))
	t.Cleanup(redirect.Close)
	if _, err := i.tokens(redirect.URL); err == nil {
		t.Error("a redirect was followed")
	}
}
