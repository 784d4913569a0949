package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"onepg/internal/fault"
)

const (
	// leeway is how far the issuer's clock and ours may differ.
	leeway = 30 * time.Second
	// maxSubject is the longest subject that becomes an actor, in bytes.
	maxSubject = 200
)

// algorithms are the signatures that are accepted, one for each kind of key.
// Why so few: "none" and the HS family are how tokens are forged (a public key
// is no secret to sign with), and nobody needs the rest.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}
}

// TokenOptions say whose tokens are accepted. All but ScopeClaim, Clock and
// Logger are the operator's to set, and none may be empty.
type TokenOptions struct {
	// KeySet is where the issuer's public keys are (a JWKS, RFC 7517): a file's
	// name or an http(s) URL.
	KeySet string
	// Issuer and Audience must be the token's iss, and one of its aud.
	Issuer, Audience string
	// ScopeClaim names the claim with the scopes: a string with spaces between
	// them (RFC 8693) or an array of strings.
	ScopeClaim string
	Clock      func() time.Time
	Logger     *slog.Logger
}

// Tokens are JSON Web Tokens (RFC 7519) that another party signs. Why go-jose
// and not go-oidc, which stands on it: go-oidc fetches the keys anew for every
// token with a bad signature, without a limit, tries keys of a file whatever
// their kid, and allows no leeway on exp and five minutes on nbf.
type Tokens struct {
	o    TokenOptions
	keys *keySet
}

// NewTokens reads the key set, and fails if there is no usable key in it: a
// wrong address is better noticed at the start.
func NewTokens(ctx context.Context, o TokenOptions) (*Tokens, error) {
	t := &Tokens{o: o, keys: newKeySet(o)}
	if err := t.keys.refresh(ctx); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "jwt-keys-unavailable",
			"The keys of APP_JWT_KEYS cannot be used; it names a file or the address of a JSON Web Key Set with public keys")
	}
	return t, nil
}

// Run reads the key set from time to time, so that a key that the issuer has
// withdrawn is not accepted for long.
func (t *Tokens) Run(ctx context.Context) { t.keys.run(ctx) }

// Verify checks the signature before anything else, then whom the token is
// from and for, and when. It is part of [Verifier].
func (t *Tokens) Verify(ctx context.Context, token string) (Identity, error) {
	parsed, err := jwt.ParseSigned(token, algorithms())
	if err != nil {
		return Identity{}, badToken("it is malformed or not signed with RS256, ES256 or EdDSA", err)
	}
	var claims jwt.Claims
	var all map[string]json.RawMessage
	header := parsed.Headers[0] // the compact form has exactly one
	candidates, err := t.keys.find(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return Identity{}, err
	}
	err = errors.New("no key of the issuer fits")
	for _, key := range candidates {
		if err = parsed.Claims(key.Key, &claims, &all); err == nil {
			break
		}
	}
	if err != nil {
		return Identity{}, badToken("its signature cannot be verified", err)
	}
	if err := t.check(claims); err != nil {
		return Identity{}, err
	}
	scopes, err := readScopes(all[t.o.ScopeClaim])
	if err != nil {
		return Identity{}, badToken("its claim "+t.o.ScopeClaim+" is neither a string nor an array of strings", err)
	}
	return Identity{Actor: "jwt:" + claims.Subject, Scopes: scopes}, nil
}

// check holds the claims of a verified token to what is expected of it.
func (t *Tokens) check(c jwt.Claims) error {
	expected := jwt.Expected{Issuer: t.o.Issuer, AnyAudience: jwt.Audience{t.o.Audience}, Time: t.o.Clock()}
	err := c.ValidateWithLeeway(expected, leeway)
	switch {
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return badToken("its issuer (iss) is not the expected one", err)
	case errors.Is(err, jwt.ErrInvalidAudience):
		return badToken("it is not meant for this server (aud)", err)
	case errors.Is(err, jwt.ErrExpired):
		return badToken("it has expired (exp)", err)
	case err != nil:
		return badToken("it is not valid yet (nbf, iat)", err)
	case c.Expiry == nil:
		return badToken("it never expires; a claim exp is needed", nil)
	case !isSubject(c.Subject):
		return badToken(fmt.Sprintf("its subject (sub) is missing, not printable or longer than %d bytes", maxSubject), nil)
	}
	return nil
}

// isSubject reports whether s can stand in the log as an actor.
func isSubject(s string) bool {
	return s != "" && len(s) <= maxSubject && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// readScopes accepts both forms of a scope claim. None means no scopes.
func readScopes(claim json.RawMessage) (Scopes, error) {
	if claim == nil {
		return nil, nil
	}
	var text string
	if err := json.Unmarshal(claim, &text); err == nil {
		return strings.Fields(text), nil
	}
	var list []string
	if err := json.Unmarshal(claim, &list); err != nil {
		return nil, fmt.Errorf("read the scopes: %w", err)
	}
	return list, nil
}

func badToken(why string, cause error) error {
	return fault.Wrap(cause, fault.Unauthenticated, "unauthenticated", "The token is refused: "+why+".")
}
