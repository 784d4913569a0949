package app_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"onepg/internal/auth"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// unauthenticated are the credentials that are none.
func unauthenticated(headers map[string]string) []bad {
	sends := make(map[string]string)
	for what, header := range headers {
		sends["GET with "+what] = request(http.MethodGet, "/v1/users", "", header)
		sends["POST with "+what] = appending(someone(), header)
		sends["a bad POST with "+what] = appending("{", header)
	}
	return refused(401, "unauthenticated", sends)
}

func TestBadKeysAreRefused(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, database, "--auth=keys", "--rate=100000", "--rate-burst=100000")
	keys := auth.NewKeys(connect(t, database), nil)
	good := makeKey(t, database, "good", "users:read", "users:write", "events:read")
	secret := strings.TrimPrefix(good, "Authorization: Bearer ")
	if got := a.get("/v1/users", good); got.status != http.StatusOK { // so that it is remembered
		t.Fatalf("%d %s", got.status, got.body)
	}
	revoked := makeKey(t, database, "revoked", "users:read", "users:write")
	if err := keys.Revoke(t.Context(), "revoked"); err != nil {
		t.Fatal(err)
	}
	expired, err := keys.Create(t.Context(), auth.NewKey{Name: "expired", Scopes: auth.Scopes{"users:read"}, ValidFor: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	reader := makeKey(t, database, "reader", "users:read", "payments:write")
	cases := unauthenticated(map[string]string{
		"nothing": "X: y", "an empty header": "Authorization:", "no key": "Authorization: Bearer", "an empty key": "Authorization: Bearer ", "the key alone": "Authorization: " + secret,
		"another scheme": "Authorization: Basic " + secret, "basic credentials": "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("web:"+secret)),
		"two keys in a line": good + ", " + secret, "two headers": good + "\r\n" + good, "a space too many": "Authorization: Bearer  " + secret, "something behind it": good + " x",
		"another letter": good[:len(good)-1] + "!", "a letter less": good[:len(good)-1], "a letter more": good + "A", "small letters": strings.ToLower(good), "an unknown key": "Authorization: Bearer onepg_AAAAAAAAAAAAAAAAAAAAAAAAAA",
		"a key of 8 KiB": "Authorization: Bearer " + strings.Repeat("A", 8<<10), "a key of 12 KiB": "Authorization: Bearer " + strings.Repeat("A", 12<<10),
		"SQL": "Authorization: Bearer ' OR '1'='1", "a hash": "Authorization: Bearer " + strings.Repeat("0", 64), "no text": "Authorization: Bearer \xff\xfe",
		"a revoked key": revoked, "an expired key": "Authorization: Bearer " + expired, "a cookie": "Cookie: Authorization=Bearer " + secret, "another header": "X-Api-Key: " + secret,
		"a token of another kind": "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.", "a proxy's word": "X-Forwarded-User: good", "a proxy's credential": "Proxy-" + good,
	})
	cases = append(cases, refused(401, "unauthenticated", map[string]string{
		"a key in the query": request("GET", "/v1/users?access_token="+secret, ""),
		"a key in the host":  strings.Replace(request("GET", "/v1/users", ""), "localhost", "web:"+secret[:6], 1),
		"an open stream":     request("GET", "/v1/events/stream", ""),
		"a command":          request("POST", "/v1/payments/"+uuid.NewString()+"/process", "{}", "Idempotency-Key: k"),
		"a rebuild":          request("POST", "/v1/views/users/rebuild", ""),
		"an id that is none": request("GET", "/v1/users/x", ""),
		"a bad parameter":    request("GET", "/v1/users?limit=x", ""),
		"a user that is not": request("GET", "/v1/users/"+uuid.NewString(), ""),
		"metrics":            request("GET", "/metrics", ""),
	})...)
	cases = append(cases, refused(403, "forbidden", map[string]string{
		"a write with a key for reading":     appending(someone(), reader),
		"a bad write with a key for reading": appending("{", reader),
		"the log with a key for users":       request("GET", "/v1/events", "", reader),
		"the stream with a key for users":    request("GET", "/v1/events/stream", "", reader),
		"a payment with a key for commands":  request("GET", "/v1/payments", "", reader),
		"a rebuild with a key for users":     request("POST", "/v1/views/users/rebuild", "", reader),
		"a revert with a key for reading":    request("POST", "/v1/users/"+uuid.NewString()+"/revert", "{}", reader),
		"metrics with a key for users":       request("GET", "/metrics", "", reader),
		"a scope in a header":                appending(someone(), reader, "X-Scope: users:write", "Scope: users:write"),
	})...)
	cases = append(cases, bad{"an actor in the body", appending(someone(`"actor":"key:root"`), good), 422, "validation-failed", "/actor", false})
	a.refuses(t, cases)
	if err := keys.Revoke(t.Context(), "good"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a revoked key is forgotten", func() bool { return a.get("/v1/users", good).status == http.StatusUnauthorized })
}

// Nobody gets a bucket of his own by naming other addresses: without trusted
// proxies nobody's word about them counts.
func TestASpoofedAddressEvadesNoLimit(t *testing.T) {
	t.Parallel()
	a := startOn(t, pgtest.New(t), "--auth=keys", "--rate=1", "--rate-burst=5")
	refusals := 0
	for i := range 50 {
		address := fmt.Sprintf("10.0.0.%d", i)
		got := a.get("/v1/users", fmt.Sprintf("Authorization: Bearer guess%d", i), "X-Forwarded-For: "+address, "X-Real-IP: "+address, "Forwarded: for="+address)
		if got.status == http.StatusTooManyRequests {
			refusals++
		} else if got.status != http.StatusUnauthorized {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if refusals < 30 {
		t.Errorf("only %d of 50 guesses were over the rate", refusals)
	}
}

func TestBadTokensAreRefused(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "a", Algorithm: "RS256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	a := startOn(t, pgtest.New(t), "--auth=jwt", "--jwt-keys="+file, "--jwt-issuer=https://id.example.com", "--jwt-audience=onepg", "--rate=100000", "--rate-burst=100000")
	claims := func(changes map[string]any) map[string]any {
		all := map[string]any{
			"iss": "https://id.example.com", "aud": "onepg", "sub": "42", "exp": time.Now().Add(time.Hour).Unix(), "scope": "users:read users:write",
		}
		maps.Copy(all, changes)
		maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
		return all
	}
	sign := func(algorithm jose.SignatureAlgorithm, key any, changes map[string]any) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: "a"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.Signed(signer).Claims(claims(changes)).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + text
	}
	good := sign(jose.RS256, key, nil)
	if got := a.post(someone(), good); got.status != http.StatusCreated {
		t.Fatalf("a good token: %d %s", got.status, got.body)
	}
	encode := base64.RawURLEncoding.EncodeToString
	body, err := json.Marshal(claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	parts := strings.Split(strings.TrimPrefix(good, "Authorization: Bearer "), ".")
	bearer := func(parts ...string) string { return "Authorization: Bearer " + strings.Join(parts, ".") }
	cases := unauthenticated(map[string]string{
		"alg none":                    bearer(encode([]byte(`{"alg":"none"}`)), encode(body), ""),
		"alg None":                    bearer(encode([]byte(`{"alg":"None","kid":"a"}`)), encode(body), ""),
		"alg none and a signature":    bearer(encode([]byte(`{"alg":"none","kid":"a"}`)), encode(body), parts[2]),
		"no alg":                      bearer(encode([]byte(`{}`)), encode(body), parts[2]),
		"HS256 with the public key":   sign(jose.HS256, public, nil),
		"HS256 with the DER key":      sign(jose.HS256, der, nil),
		"RS512":                       sign(jose.RS512, key, nil),
		"PS256":                       sign(jose.PS256, key, nil),
		"somebody else's key":         sign(jose.RS256, other, nil),
		"no signature":                bearer(parts[0], parts[1], ""),
		"another body":                bearer(parts[0], encode([]byte(strings.Replace(string(body), `"42"`, `"1"`, 1))), parts[2]),
		"two parts":                   bearer(parts[0], parts[1]),
		"four parts":                  bearer(parts[0], parts[1], parts[2], parts[2]),
		"an encrypted token":          bearer(parts[0], "", "", "", ""),
		"a key of its own":            bearer(encode([]byte(`{"alg":"RS256","jwk":{"kty":"RSA","n":"AQ","e":"AQAB"}}`)), encode(body), parts[2]),
		"a key from elsewhere":        bearer(encode([]byte(`{"alg":"RS256","kid":"a","jku":"http://127.0.0.1:1/"}`)), encode(body), parts[2]),
		"a critical extension":        bearer(encode([]byte(`{"alg":"RS256","kid":"a","crit":["x"],"x":1}`)), encode(body), parts[2]),
		"another audience":            sign(jose.RS256, key, map[string]any{"aud": "other"}),
		"other audiences":             sign(jose.RS256, key, map[string]any{"aud": []string{"a", "b"}}),
		"no audience":                 sign(jose.RS256, key, map[string]any{"aud": nil}),
		"another issuer":              sign(jose.RS256, key, map[string]any{"iss": "https://evil.example.com"}),
		"an issuer that begins alike": sign(jose.RS256, key, map[string]any{"iss": "https://id.example.com.evil.example"}),
		"no issuer":                   sign(jose.RS256, key, map[string]any{"iss": nil}),
		"no subject":                  sign(jose.RS256, key, map[string]any{"sub": nil}),
		"an empty subject":            sign(jose.RS256, key, map[string]any{"sub": ""}),
		"no end":                      sign(jose.RS256, key, map[string]any{"exp": nil}),
		"an end an hour ago":          sign(jose.RS256, key, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		"a beginning in an hour":      sign(jose.RS256, key, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
		"an end that is no number":    sign(jose.RS256, key, map[string]any{"exp": "never"}),
		"garbage":                     "Authorization: Bearer eyJ.eyJ.eyJ",
		"a key":                       "Authorization: Bearer onepg_AAAAAAAAAAAAAAAAAAAAAAAAAA",
		"nothing":                     "X: y",
	})
	cases = append(cases, refused(403, "forbidden", map[string]string{
		"no scope":              appending(someone(), sign(jose.RS256, key, map[string]any{"scope": nil})),
		"another scope":         appending(someone(), sign(jose.RS256, key, map[string]any{"scope": "users:read"})),
		"a scope in other case": appending(someone(), sign(jose.RS256, key, map[string]any{"scope": "Users:Write"})),
		"scopes with commas":    appending(someone(), sign(jose.RS256, key, map[string]any{"scope": "users:read,users:write"})),
		"all scopes":            appending(someone(), sign(jose.RS256, key, map[string]any{"scope": "*"})),
	})...)
	a.refuses(t, cases)
}

// A channel is open to every role of the database, also to one without a right.
func TestGarbageInTheChannelsIsCountedAndIgnored(t *testing.T) {
	t.Parallel()
	a := start(t)
	admin := connect(t, a.database)
	role := "nobody_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if _, err := admin.ExecContext(t.Context(), "CREATE ROLE "+role+" LOGIN"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db, err := postgres.Open(t.Context(), postgres.Options{URL: a.database, MaxConns: 1})
		if err == nil {
			_, _ = db.Exec("DROP ROLE " + role)
			_ = db.Close()
		}
	})
	conn, err := admin.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "SET ROLE "+role); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it listens", func() bool { return strings.Contains(a.get("/metrics").body, "\nonepg_listener_listening 1\n") })
	nobody := uuid.NewString()
	garbage := []string{
		"", ",", ",,", ",,,", "hello", strings.Repeat("x", 7999), strings.Repeat(",", 7999), "'; DROP TABLE events; --", "\u2028,1,é", "users", "users,", "users,x", "users,-1", "null", "{}", "[]",
		nobody + ",0," + nobody, nobody + ",-1," + nobody, nobody + ",01," + nobody, nobody + ",1e3," + nobody, nobody + ",9223372036854775808," + nobody,
		strings.ToUpper(nobody) + ",1," + nobody, "{" + nobody + "},1," + nobody, nobody + ",1," + nobody + ",", " " + nobody + ",1," + nobody, nobody + ",1," + uuid.Nil.String(),
	}
	lies := map[string][]string{
		"events:created": {nobody + ",1," + nobody, nobody + ",9223372036854775807," + nobody},
		"views:updated":  {"users,9223372036854775807", "users,1", "payment_summaries,-9223372036854775808", "nothing,5"},
	}
	for _, channel := range []string{"events:created", "views:updated"} {
		for _, payload := range append(garbage, lies[channel]...) {
			if _, err := conn.ExecContext(t.Context(), "SELECT pg_notify(?, ?)", channel, payload); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "the garbage is counted", func() bool {
		return strings.Contains(a.get("/metrics").body, fmt.Sprintf("onepg_listener_ignored_total %d\n", len(garbage)))
	})
	// A lie about a view is not believed: what was waited for is there.
	for range 5 {
		user := uuid.New()
		if got := a.post(about(user), "Prefer: wait=10"); got.status != http.StatusCreated || got.header.Get("Preference-Applied") == "" {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
		if got := a.get("/v1/users/" + user.String()); got.status != http.StatusOK {
			t.Errorf("waited for and not there: %d %s", got.status, got.body)
		}
	}
	a.works(t)
}
