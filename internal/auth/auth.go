// Package auth decides who a request comes from and what it may do. It stands
// in the HTTP edge, before any handler:
//
//	request -> who is it? -> not too often? -> scope? -> handler, with an actor
//	              |401           |429           |403
//
// Who it is says a [Verifier]: [Keys] that `app keys` made, or [Tokens] that
// another issuer signed. Without one, access control is off and everybody is
// "anonymous", which the configuration allows on loopback addresses only; a browser
// there is not to be used by the pages that it shows, so changes are taken from pages
// of known origins only.
//
// # Guarantees
//
// The actor that is recorded with an event is the one that [Actor] gives, and
// comes from a verified credential alone (P17). A credential is remembered for
// five seconds, so that a request costs no query and no signature check: after
// a revocation or an expiry every replica refuses it within five seconds, and
// ends the streams it has opened within ten. A lost notification cannot make it
// longer. One that arrives makes it milliseconds: a change of a key is announced
// on the channel [KeysChanged].
//
// People with a browser sign in at the console with the same credentials. The
// browser keeps what they typed in a cookie that counts below [SessionPath] and
// nowhere else, so no page of another site can use it on the API.
//
// Secrets are kept nowhere else: the memory is indexed by their SHA-256, and no
// error repeats them (P18).
//
// # Limits
//
// A request is charged to its credential; one without a valid credential is
// charged to its address. An address that has used its share up has no further
// credential verified, which bounds what guessing costs us; those already known
// to be valid pass. Public routes are neither checked nor limited, because a
// probe must not be refused. All memory is bounded; see recent.
//
// # Failures
//
// No or a wrong credential is "unauthenticated", a missing scope "forbidden",
// too many requests "rate-limited". While the database or the issuer's keys
// cannot be reached, credentials that are not remembered are refused as
// "unavailable": nobody is let in on a guess.
package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"onepg/internal/fault"
)

const (
	// remembered is how long an answer of the verifier holds.
	remembered = 5 * time.Second
	// maxRemembered bounds the memory for them to some 10 MB.
	maxRemembered = 20_000
	// verifyTimeout ends a verification that its first asker no longer bounds.
	verifyTimeout = 5 * time.Second
)

// A Verifier knows one kind of credential. [Keys] and [Tokens] are the two.
type Verifier interface {
	// Verify says who presents the credential. The failure is a fault.Error:
	// Unauthenticated if the credential is no good, Unavailable if that cannot be
	// found out now.
	Verify(ctx context.Context, credential string) (Identity, error)
	// Run does what has to be done from time to time, until ctx ends.
	Run(ctx context.Context)
}

// Identity is what a verified credential says.
type Identity struct {
	// Actor is how events name its owner: "key:<name>" or "jwt:<sub>".
	Actor  string
	Scopes Scopes

	unbound bool // everything is permitted, because access control is off
}

// Options make a Guard.
type Options struct {
	// Verifier is nil when access control is off; the limits are off with it.
	Verifier Verifier
	// Rate and Burst are the limits of each credential and of each address:
	// requests per second, and at once after a pause.
	Rate, Burst int
	// TrustedProxies may say in X-Forwarded-For whom they ask for. From anybody
	// else that header means nothing.
	TrustedProxies []netip.Prefix
	// Origins are the web pages, as scheme://host:port, that may change something
	// while access control is off.
	Origins []string
	Clock   func() time.Time
}

// Guard admits requests. It is safe for concurrent use.
type Guard struct {
	verifier    Verifier
	trusted     []netip.Prefix
	pages       *http.CrossOriginProtection
	clock       func() time.Time
	answers     *recent[fingerprint, answer]
	forgotten   atomic.Int64 // how often the answers were
	asking      singleflight.Group
	credentials *limiter[string]
	addresses   *limiter[netip.Addr]
}

// fingerprint stands for a credential, which itself is not kept.
type fingerprint [sha256.Size]byte

// answer is what the verifier said about a credential.
type answer struct {
	identity Identity
	refusal  error
	until    time.Time
}

// New makes a Guard.
func New(o Options) *Guard {
	pages := http.NewCrossOriginProtection()
	for _, origin := range o.Origins {
		_ = pages.AddTrustedOrigin(origin) // what is no origin is no page's
	}
	return &Guard{
		verifier: o.Verifier, pages: pages, trusted: o.TrustedProxies, clock: o.Clock,
		answers:     newRecent[fingerprint, answer](remembered, maxRemembered),
		credentials: newLimiter[string](o.Rate, o.Burst),
		addresses:   newLimiter[netip.Addr](o.Rate, o.Burst),
	}
}

// Run looks after the credentials until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	if g.verifier != nil {
		g.verifier.Run(ctx)
	}
}

// Forget has every credential verified again.
func (g *Guard) Forget() {
	g.forgotten.Add(1)
	g.answers.forget()
}

// Authorize admits a request to a route with the scope, and gives the context
// to handle it with, which knows the actor. The refusals are those of the
// package comment.
func (g *Guard) Authorize(r *http.Request, scope string) (context.Context, error) {
	if g.verifier == nil {
		return withIdentity(r.Context(), Identity{Actor: anonymous, unbound: true}), g.refuseForeign(r)
	}
	who, err := g.identify(r)
	if err != nil {
		return nil, err
	}
	if err := g.credentials.take(who.Actor, g.clock()); err != nil {
		return nil, err
	}
	if !who.Scopes.Permit(scope) {
		return nil, fault.New(fault.Forbidden, "forbidden", fmt.Sprintf("This needs the scope %s, which the credential does not have.", scope))
	}
	return withIdentity(r.Context(), who), nil
}

// identify says who a request comes from.
func (g *Guard) identify(r *http.Request) (Identity, error) {
	credential, err := credentialOf(r)
	id := fingerprint(sha256.Sum256([]byte(credential)))
	if known, ok := g.recall(id); ok && known.refusal == nil {
		return known.identity, nil
	}
	address, now := clientAddress(r, g.trusted), g.clock()
	if err := g.addresses.check(address, now); err != nil {
		return Identity{}, err
	}
	var who Identity
	if err == nil {
		who, err = g.verify(r.Context(), credential, id)
	}
	if f, ok := fault.Of(err); ok && f.Kind == fault.Unauthenticated {
		_ = g.addresses.take(address, now) // it is refused anyway, and why is better known than that it was too much
	}
	return who, err
}

// recall gives what the verifier said about a credential a short while ago.
func (g *Guard) recall(id fingerprint) (answer, bool) {
	now := g.clock()
	a, ok := g.answers.find(id, now)
	return a, ok && now.Before(a.until)
}

// verify asks the verifier, once for all requests that present the same
// credential at the moment.
func (g *Guard) verify(ctx context.Context, credential string, id fingerprint) (Identity, error) {
	result, err, _ := g.asking.Do(string(id[:]), func() (any, error) {
		if known, ok := g.recall(id); ok {
			return known.identity, known.refusal
		}
		// Why not the request's own context: others wait for the same answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verifyTimeout)
		defer cancel()
		before := g.forgotten.Load()
		who, err := g.verifier.Verify(ctx, credential)
		if before != g.forgotten.Load() {
			return who, err // it may have changed while the verifier looked
		}
		if f, ok := fault.Of(err); err == nil || ok && f.Kind == fault.Unauthenticated {
			now := g.clock()
			g.answers.put(id, now, answer{identity: who, refusal: err, until: now.Add(remembered)})
		}
		return who, err
	})
	who, ok := result.(Identity)
	if err == nil && !ok {
		return who, fmt.Errorf("verify a credential: got a %T", result)
	}
	return who, err //nolint:wrapcheck // it is the verifier's error
}

// refuseForeign keeps web pages out while access control is off. Why: a page may let
// its own name resolve to a loopback address (DNS rebinding), and the browser then
// takes our answers for the page's own. It still says the page's name in Host. And a
// page need not read the answer to a POST that changes something, nor is the browser
// to ask us before it sends one without a body.
func (g *Guard) refuseForeign(r *http.Request) error {
	if err := g.pages.Check(r); err != nil {
		return fault.Wrap(err, fault.Forbidden, "forbidden",
			"With APP_AUTH=none a change is not taken from a page of another site. Name its origin in APP_CORS_ORIGINS, or set APP_AUTH.")
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if host == "localhost" || err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return fault.New(fault.Forbidden, "forbidden",
		"With APP_AUTH=none only requests for a loopback address or for localhost are answered. Set APP_AUTH to serve others.")
}
