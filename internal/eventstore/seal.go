package eventstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"

	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
)

// Hash is a SHA-256, in JSON as 64 hexadecimal digits.
type Hash [sha256.Size]byte

// String is the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the hash in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText refuses what is not a whole hash.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return fmt.Errorf("a hash has %d hexadecimal digits", hex.EncodedLen(len(h)))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("read a hash: %w", err)
	}
	return nil
}

// Scan reads a bytea.
func (h *Hash) Scan(src any) error {
	raw, ok := src.([]byte)
	if !ok || len(raw) != len(h) {
		return errors.New("a hash has 32 bytes")
	}
	copy(h[:], raw)
	return nil
}

// Seal is one link of the chain over the log: what the events from First to
// Last were when it was made. Kept outside the database it proves the log up to
// Last, because its hash covers all seals before it.
type Seal struct {
	Number   int64              `bun:"number"         json:"number"`
	First    int64              `bun:"first_position" json:"first_position"`
	Last     int64              `bun:"last_position"  json:"last_position"`
	Previous Hash               `bun:"previous"       json:"previous"`
	Hash     Hash               `bun:"hash"           json:"hash"`
	SealedAt eventsourcing.Time `bun:"sealed_at"      json:"sealed_at"`
	// Digests are the first DigestBytes of each event's digest, in order: they
	// tell which event of a broken range was changed. Empty unless asked for.
	Digests []byte `bun:"digests" json:"-"`
}

// DigestBytes is how much of an event's digest a seal keeps.
const DigestBytes = 8

const sealColumns = "seal.number, seal.first_position, seal.last_position, seal.previous, seal.hash, seal.sealed_at"

// GenesisHash is the hash of seal 0, which covers no event: SHA-256 of nothing.
func GenesisHash() Hash { return sha256.Sum256(nil) }

// Seals gives the seals after a number with their digests, in order, at most
// limit of them.
func Seals(ctx context.Context, db bun.IDB, after int64, limit int) ([]Seal, error) {
	var seals []Seal
	err := db.NewSelect().Model(&seals).ModelTableExpr("event_seals AS seal").
		Where("seal.number > ?", after).OrderExpr("seal.number").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, postgres.Fault(fmt.Errorf("read the seals after number %d: %w", after, err))
	}
	return seals, nil
}

// NewestSeal gives the last seal. It reports false while nothing is sealed.
func NewestSeal(ctx context.Context, db bun.IDB) (Seal, bool, error) {
	var seals []Seal
	err := db.NewSelect().Model(&seals).ModelTableExpr("event_seals AS seal").ColumnExpr(sealColumns).
		Where("seal.number > 0").OrderExpr("seal.number DESC").Limit(1).Scan(ctx)
	if err != nil {
		return Seal{}, false, postgres.Fault(fmt.Errorf("read the newest seal: %w", err))
	}
	if len(seals) == 0 {
		return Seal{}, false, nil
	}
	return seals[0], true, nil
}

// postgresEpoch is 2000-01-01T00:00:00Z in microseconds since 1970: PostgreSQL's
// binary form of a time counts from it.
const postgresEpoch = 946_684_800_000_000

// Digest is the hash of one event: SHA-256 over its canonical bytes, which are,
// one after the other and integers big-endian,
//
//	position        8 bytes
//	recorded_at     8 bytes: microseconds since 2000-01-01T00:00:00Z
//	id              16 bytes
//	aggregate_id    16 bytes
//	version         4 bytes
//	schema_version  4 bytes
//	name, actor     4 bytes length, then the text in UTF-8
//	payload         4 bytes length, then the text exactly as it was sent
//	metadata        4 bytes length, then the text as PostgreSQL writes a jsonb
//
// The aggregate's kind is not among them because it is part of the name. The SQL
// function event_digest computes the same; this one shares nothing with it.
func Digest(e eventsourcing.Recorded) Hash {
	const fixed, texts = 56, 4
	b := make([]byte, 0, fixed+4*texts+len(e.Name)+len(e.Actor)+len(e.Payload)+len(e.Metadata))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Position))                             //nolint:gosec // its two's complement, as PostgreSQL writes it
	b = binary.BigEndian.AppendUint64(b, uint64(e.RecordedAt.UnixMicro()-postgresEpoch)) //nolint:gosec // as above
	b = append(b, e.ID[:]...)
	b = append(b, e.AggregateID[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(e.Version))       //nolint:gosec // as above
	b = binary.BigEndian.AppendUint32(b, uint32(e.SchemaVersion)) //nolint:gosec // as above
	for _, text := range [texts][]byte{[]byte(e.Name), []byte(e.Actor), e.Payload, e.Metadata} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text))) //nolint:gosec // a field is at most 1 GB
		b = append(b, text...)
	}
	return sha256.Sum256(b)
}

// A Sealing computes a seal's hash from the events: SHA-256 over number, first
// and last position (8 bytes each), the hash of the seal before, and the
// digests of the events in order.
type Sealing struct{ sum hash.Hash }

// NewSealing begins the hash of the seal. It takes the seal's place in the chain
// from it, and nothing of its content.
func NewSealing(s Seal) Sealing {
	sum := sha256.New()
	var header []byte
	for _, n := range [...]int64{s.Number, s.First, s.Last} {
		header = binary.BigEndian.AppendUint64(header, uint64(n)) //nolint:gosec // its two's complement, as PostgreSQL writes it
	}
	sum.Write(header)
	sum.Write(s.Previous[:])
	return Sealing{sum}
}

// Add takes the digest of the next event.
func (s Sealing) Add(digest Hash) { s.sum.Write(digest[:]) }

// Hash is the seal's hash if all its events were added.
func (s Sealing) Hash() (h Hash) {
	s.sum.Sum(h[:0])
	return h
}

// ReadSeal reads what was written of a seal to be kept outside the database.
func ReadSeal(text []byte) (Seal, error) {
	var s Seal
	if err := json.Unmarshal(text, &s); err != nil {
		return Seal{}, fmt.Errorf("read the seal: %w", err)
	}
	if s.Number < 1 || s.First < 1 || s.Last < s.First {
		return Seal{}, errors.New("read the seal: it covers no events")
	}
	return s, nil
}
