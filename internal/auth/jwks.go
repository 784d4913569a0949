package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"onepg/internal/fault"
)

const (
	// refreshEvery bounds how long a withdrawn key is still accepted.
	refreshEvery = 5 * time.Minute
	// refreshAtMost bounds how often tokens with unknown keys make us ask the
	// issuer, whoever sends them.
	refreshAtMost = 10 * time.Second
	// fetchTimeout and maxKeySet bound what a broken issuer can cost.
	fetchTimeout = 4 * time.Second
	maxKeySet    = 1 << 20
	// minRSABits: RFC 7518 section 3.3.
	minRSABits = 2048
)

// keySet is the issuer's public keys. A key that is not known yet is looked for
// at once, which is how issuers expect to rotate; what cannot be read leaves
// the keys as they were.
type keySet struct {
	read   func(context.Context) ([]byte, error)
	clock  func() time.Time
	logger *slog.Logger
	asking singleflight.Group

	mu     sync.Mutex
	keys   []jose.JSONWebKey
	tried  time.Time
	failed error // of the last try
}

func newKeySet(o TokenOptions) *keySet {
	s := &keySet{clock: o.Clock, logger: o.Logger}
	if strings.HasPrefix(o.KeySet, "https://") || strings.HasPrefix(o.KeySet, "http://") {
		s.read = func(ctx context.Context) ([]byte, error) { return fetch(ctx, o.KeySet) }
	} else {
		s.read = func(context.Context) ([]byte, error) { return os.ReadFile(o.KeySet) }
	}
	return s
}

// run refreshes the keys until ctx ends.
func (s *keySet) run(ctx context.Context) {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.refresh(ctx); err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "the keys for tokens cannot be read; those known are kept", slog.Any("error", err))
		}
	}
}

// find gives the keys that a token with this header may be signed with. None is
// an answer; that the issuer cannot be asked is a failure.
func (s *keySet) find(ctx context.Context, id, algorithm string) ([]jose.JSONWebKey, error) {
	if found := s.matching(id, algorithm); len(found) > 0 {
		return found, nil
	}
	err := s.refreshIfDue(ctx)
	if found := s.matching(id, algorithm); len(found) > 0 {
		return found, nil
	}
	if err != nil {
		f := fault.Wrap(err, fault.Unavailable, "unavailable", "The token's key is not known, and the issuer's keys cannot be read now.")
		f.RetryAfter = refreshAtMost
		return nil, f
	}
	return nil, nil
}

func (s *keySet) matching(id, algorithm string) []jose.JSONWebKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.keys), func(k jose.JSONWebKey) bool {
		return (id != "" && k.KeyID != id) || algorithmOf(k) != algorithm
	})
}

// refreshIfDue reads the keys unless that was tried a moment ago, and gives the
// error of the last try.
func (s *keySet) refreshIfDue(ctx context.Context) error {
	s.mu.Lock()
	due, failed := s.clock().Sub(s.tried) >= refreshAtMost, s.failed
	s.mu.Unlock()
	if !due {
		return failed
	}
	return s.refresh(ctx)
}

// refresh reads the keys. Any number of callers at a time share one reading.
func (s *keySet) refresh(ctx context.Context) error {
	_, err, _ := s.asking.Do("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		keys, err := s.load(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tried, s.failed = s.clock(), err
		if err == nil {
			s.keys = keys
		}
		return nil, err
	})
	return err //nolint:wrapcheck // it is load's error
}

func (s *keySet) load(ctx context.Context) ([]jose.JSONWebKey, error) {
	text, err := s.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("decode the key set: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		// Why errors are passed over: a set may hold keys for other purposes and
		// of kinds that do not exist yet (RFC 7517 section 5).
		if err := key.UnmarshalJSON(raw); err == nil && algorithmOf(key) != "" && (key.Use == "" || key.Use == "sig") {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("none of the %d keys in the set is a public key for RS256, ES256 or EdDSA", len(set.Keys))
	}
	return keys, nil
}

// algorithmOf gives the one algorithm a key is used with, or "" for a key that
// is not public, too weak, or declared for something else. Why by the key: the
// token's own word for it is not to be trusted.
func algorithmOf(k jose.JSONWebKey) string {
	var algorithm jose.SignatureAlgorithm
	switch public := k.Key.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= minRSABits {
			algorithm = jose.RS256
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			algorithm = jose.ES256
		}
	case ed25519.PublicKey:
		algorithm = jose.EdDSA
	}
	if k.Algorithm != "" && k.Algorithm != string(algorithm) {
		return ""
	}
	return string(algorithm)
}

// fetch reads a key set over HTTP. Redirects are not followed: the operator has
// named the place to trust.
func fetch(ctx context.Context, address string) (_ []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for it: %w", err)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	client := http.Client{
		Transport:     transport, // once in minutes: no connection is worth keeping
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for it: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, response.Status)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return text, nil
}
