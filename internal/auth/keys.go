package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/postgres"
)

// KeysChanged is the channel that says, without a payload, that a key may open less
// than it did.
const KeysChanged = "keys:changed"

const (
	// keyPrefix lets a scanner for leaked secrets recognise ours.
	keyPrefix = "onepg_"
	// noteUseEvery is how often the last use of the keys is written.
	noteUseEvery = time.Minute
	// noteUseTimeout bounds the last such write, after the server has stopped.
	noteUseTimeout = 2 * time.Second
)

// KeyStatus says whether a key opens anything.
type KeyStatus string

// The states of a key. An expired or revoked one never becomes active again.
const (
	KeyActive  KeyStatus = "active"
	KeyExpired KeyStatus = "expired"
	KeyRevoked KeyStatus = "revoked"
)

// Key is what is known about a key; the secret is not among it.
type Key struct {
	Name      string              `bun:"name"       json:"name"`
	Status    KeyStatus           `bun:"status"     json:"status"`
	Scopes    Scopes              `bun:"scopes,array" json:"scopes"`
	CreatedAt eventsourcing.Time  `bun:"created_at" json:"created_at"`
	ExpiresAt *eventsourcing.Time `bun:"expires_at" json:"expires_at"`
	RevokedAt *eventsourcing.Time `bun:"revoked_at" json:"revoked_at"`
	// LastUsedAt is right to about a minute; nil if the key was never used.
	LastUsedAt *eventsourcing.Time `bun:"last_used_at" json:"last_used_at"`
}

// NewKey is a key to be made.
type NewKey struct {
	// Name says whose key it is, in the actor of every event: key:<name>. It can
	// be given once and never again, so that old events keep their meaning.
	Name   string
	Scopes Scopes
	// ValidFor is zero for a key that does not expire.
	ValidFor time.Duration
}

// Keys are the keys in the database. They are secrets of 130 random bits, of
// which only the SHA-256 is stored. Why nothing compares secrets in constant
// time: a key is looked up by its hash, and how far a hash agrees with another
// tells nothing about a key that has it.
type Keys struct {
	db     *bun.DB
	logger *slog.Logger

	mu   sync.Mutex
	used map[string]struct{} // names whose use is not written yet
}

// NewKeys gives the keys in a database. Only Run needs the logger.
func NewKeys(db *bun.DB, logger *slog.Logger) *Keys {
	return &Keys{db: db, logger: logger, used: map[string]struct{}{}}
}

// Create makes a key and returns the secret, which nobody can find out later.
// It fails with "key-invalid" for a name that is malformed or no scopes, and
// with "key-exists" for a name that was ever given before.
func (k *Keys) Create(ctx context.Context, key NewKey) (secret string, err error) {
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`).MatchString(key.Name) {
		return "", fault.New(fault.Invalid, "key-invalid",
			"The name of a key has at most 63 characters: a-z, 0-9, and after the first also . _ and -.")
	}
	if len(key.Scopes) == 0 || key.ValidFor < 0 {
		return "", fault.New(fault.Invalid, "key-invalid", "A key needs at least one scope, and a time to live that is not negative.")
	}
	secret = keyPrefix + rand.Text()
	hash := sha256.Sum256([]byte(secret))
	_, err = k.db.ExecContext(ctx, `INSERT INTO api_keys (name, hash, scopes, expires_at)
		VALUES (?, ?, ?, CASE WHEN ? > 0 THEN clock_timestamp() + ? * interval '1 second' END)`,
		key.Name, hash[:], pgdialect.Array(key.Scopes), key.ValidFor.Seconds(), key.ValidFor.Seconds())
	if postgres.IsUniqueViolation(err, "api_keys_pkey") {
		return "", fault.New(fault.Conflict, "key-exists", fmt.Sprintf(
			"There is or was a key named %s, and events may name it. Choose another name.", key.Name))
	}
	if postgres.IsForbidden(err) {
		return "", errNotOwner(err)
	}
	if err != nil {
		return "", k.fault(fmt.Errorf("store the key %s: %w", key.Name, err))
	}
	return secret, nil
}

func errNotOwner(err error) error {
	return fault.Wrap(err, fault.Forbidden, "not-the-owner", "This role may not make or revoke keys. Do it as the owner of the schema.")
}

// List gives every key there ever was, by name.
func (k *Keys) List(ctx context.Context) ([]Key, error) {
	var list []Key
	err := k.db.NewRaw(`SELECT name, scopes, created_at, expires_at, revoked_at, last_used_at, `+keyStatus+` AS status
		FROM api_keys ORDER BY name`).Scan(ctx, &list)
	if err != nil {
		return nil, k.fault(fmt.Errorf("list the keys: %w", err))
	}
	return list, nil
}

// keyStatus is a key's [KeyStatus] in SQL, by the database's clock.
const keyStatus = `CASE
	WHEN revoked_at IS NOT NULL THEN 'revoked'
	WHEN expires_at <= clock_timestamp() THEN 'expired'
	ELSE 'active' END`

// Revoke ends a key for good; doing it again changes nothing. It fails with
// "key-unknown" if there is no key of that name.
func (k *Keys) Revoke(ctx context.Context, name string) error {
	result, err := k.db.ExecContext(ctx,
		`UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE name = ?`, name)
	if postgres.IsForbidden(err) {
		return errNotOwner(err)
	}
	if err != nil {
		return k.fault(fmt.Errorf("revoke the key %s: %w", name, err))
	}
	rows, err := result.RowsAffected()
	if err == nil && rows == 0 {
		return fault.New(fault.NotFound, "key-unknown", fmt.Sprintf("There is no key named %s; `app keys list` shows all.", name))
	}
	return err //nolint:wrapcheck // pgdriver always knows
}

// Verify looks the key up. It is part of [Verifier].
func (k *Keys) Verify(ctx context.Context, secret string) (Identity, error) {
	if !strings.HasPrefix(secret, keyPrefix) {
		return Identity{}, unauthenticated("The credential is not a key of this server.")
	}
	hash := sha256.Sum256([]byte(secret))
	var found []Key
	err := k.db.NewRaw(`SELECT name, scopes, `+keyStatus+` AS status FROM api_keys WHERE hash = ?`, hash[:]).Scan(ctx, &found)
	switch {
	case err != nil:
		return Identity{}, k.fault(fmt.Errorf("look up a key: %w", err))
	case len(found) == 0:
		return Identity{}, unauthenticated("The credential is not a key of this server.")
	case found[0].Status != KeyActive:
		return Identity{}, unauthenticated("The key is " + string(found[0].Status) + ".")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used[found[0].Name] = struct{}{}
	return Identity{Actor: "key:" + found[0].Name, Scopes: found[0].Scopes}, nil
}

// Run notes once a minute which keys were used, and a last time when ctx ends.
func (k *Keys) Run(ctx context.Context) {
	ticker := time.NewTicker(noteUseEvery)
	defer ticker.Stop()
	defer k.noteUse(context.WithoutCancel(ctx))
	for {
		select {
		case <-ticker.C:
			k.noteUse(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// noteUse writes the last use of the keys used since the last time. What cannot
// be written now is written next time.
func (k *Keys) noteUse(ctx context.Context) {
	k.mu.Lock()
	used := k.used
	k.used = map[string]struct{}{}
	k.mu.Unlock()
	if len(used) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, noteUseTimeout)
	defer cancel()
	_, err := k.db.ExecContext(ctx, `UPDATE api_keys SET last_used_at = clock_timestamp() WHERE name IN (?)`,
		bun.List(slices.Sorted(maps.Keys(used))))
	if err == nil {
		return
	}
	k.logger.WarnContext(ctx, "the last use of keys could not be written", slog.Any("error", err))
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.Copy(k.used, used)
}

// fault gives an error of the database its meaning.
func (k *Keys) fault(err error) error {
	const undefinedTable = "42P01"
	if postgres.SQLState(err) == undefinedTable {
		return fault.Wrap(err, fault.Unavailable, "unavailable", "The database has no table for keys yet. Run `app migrate up`.")
	}
	return postgres.Fault(err)
}
