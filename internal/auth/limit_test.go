package auth_test

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"onepg/internal/auth"
	"onepg/internal/fault"
)

// names accepts every credential that begins with ok and counts how often it is
// asked.
type names struct{ asked atomic.Int64 }

func (n *names) Verify(_ context.Context, credential string) (auth.Identity, error) {
	n.asked.Add(1)
	if credential[:2] != "ok" {
		return auth.Identity{}, fault.New(fault.Unauthenticated, "unauthenticated", "Who?")
	}
	return auth.Identity{Actor: "key:" + credential, Scopes: auth.Scopes{"users:read"}}, nil
}

func (n *names) Run(context.Context) {}

func TestEachCredentialHasItsOwnRate(t *testing.T) {
	t.Parallel()
	c := newClock()
	d := guarded(t, auth.Options{Verifier: &names{}, Rate: 2, Burst: 4, Clock: c.Now})
	for range 4 {
		d.want(200, "users:read", "ok-a")
	}
	status, _, header := d.knock("users:read", "Authorization: Bearer ok-a")
	if status != 429 || header.Get("Retry-After") != "0.500" {
		t.Errorf("%d, Retry-After: %s", status, header.Get("Retry-After"))
	}
	d.want(429, "users:read", "ok-a") // a refusal costs nothing more
	d.want(200, "users:read", "ok-b")
	c.advance(500 * time.Millisecond)
	d.want(200, "users:read", "ok-a")
	d.want(429, "users:read", "ok-a")
	c.advance(time.Hour)
	for range 4 {
		d.want(200, "users:read", "ok-a")
	}
	d.want(429, "users:read", "ok-a")
}

// Guessing exhausts the guesser's address; who is known already does not suffer.
func TestGuessingExhaustsTheAddress(t *testing.T) {
	t.Parallel()
	c, verifier := newClock(), &names{}
	d := guarded(t, auth.Options{
		Verifier: verifier, Rate: 1, Burst: 3, Clock: c.Now,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	})
	d.want(200, "users:read", "ok-a")
	for i := range 3 {
		d.want(401, "users:read", "guess-"+strconv.Itoa(i))
	}
	before := verifier.asked.Load()
	d.want(429, "users:read", "guess-3")
	d.want(429, "users:read", "ok-b")
	if status, _, header := d.knock("users:read"); status != 429 || header.Get("Retry-After") != "1.000" {
		t.Errorf("no credential: %d, Retry-After: %s", status, header.Get("Retry-After"))
	}
	if asked := verifier.asked.Load(); asked != before {
		t.Errorf("%d credentials were verified for an exhausted address", asked-before)
	}
	d.want(200, "users:read", "ok-a")
	if status, _, _ := d.knock("users:read", "Authorization: Bearer ok-b", "X-Forwarded-For: 192.0.2.1"); status != 200 {
		t.Errorf("another address: %d", status)
	}
	c.advance(time.Second)
	d.want(200, "users:read", "ok-b")
}

func TestASpoofedAddressHasNoEffect(t *testing.T) {
	t.Parallel()
	d := guarded(t, auth.Options{Verifier: &names{}, Rate: 1, Burst: 3, Clock: newClock().Now})
	for i := range 6 {
		status, _, _ := d.knock("users:read", fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", i), "Forwarded: for=192.0.2.9", "X-Real-Ip: 192.0.2.9")
		if want := map[bool]int{true: 401, false: 429}[i < 3]; status != want {
			t.Errorf("request %d: %d, want %d", i, status, want)
		}
	}
}

func TestARefusedCredentialIsVerifiedOnceInAWhile(t *testing.T) {
	t.Parallel()
	c, verifier := newClock(), &names{}
	d := guarded(t, auth.Options{Verifier: verifier, Clock: c.Now})
	for range 5 {
		d.want(401, "users:read", "bad")
		d.want(200, "users:read", "ok")
	}
	if asked := verifier.asked.Load(); asked != 2 {
		t.Errorf("verified %d times, want 2", asked)
	}
	c.advance(5 * time.Second)
	d.want(401, "users:read", "bad")
	d.want(200, "users:read", "ok")
	if asked := verifier.asked.Load(); asked != 4 {
		t.Errorf("verified %d times, want 4", asked)
	}
}
