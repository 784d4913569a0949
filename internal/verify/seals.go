package verify

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
)

// sealPage is how many seals are held at once; each has up to 8 kB of digests.
const sealPage = 20

// chain checks the seals against each other and against the events.
type chain struct {
	r       *run
	before  eventstore.Seal
	seals   []eventstore.Seal // read ahead; the first is the current one
	sealing eventstore.Sealing
	digests []digest // of the current seal's events so far
}

// digest is what a seal remembers of an event.
type digest struct {
	position int64
	prefix   [eventstore.DigestBytes]byte
}

func (r *run) newChain(ctx context.Context) (*chain, error) {
	c := &chain{r: r}
	if err := c.checkKept(ctx); err != nil {
		return nil, err
	}
	// The chain is followed from the seal before the range.
	var first int64
	err := r.DB.NewRaw("SELECT coalesce(max(number), 0) FROM event_seals WHERE number > 0 AND last_position < ?", r.report.From).Scan(ctx, &first)
	if err != nil {
		return nil, fmt.Errorf("find the first seal of the range: %w", err)
	}
	if c.before, err = c.numbered(ctx, first); err != nil {
		return nil, err
	}
	if first == 0 && (c.before.Last != 0 || c.before.Hash != eventstore.GenesisHash()) {
		c.found(0, "seal 0, which begins the chain, is not what it must be")
	}
	return c, c.fetch(ctx)
}

// checkKept looks for the seal that was kept outside.
func (c *chain) checkKept(ctx context.Context) error {
	kept := c.r.Seal
	if kept == nil {
		return nil
	}
	if kept.Number > c.r.lastSeal || kept.Last > c.r.end {
		c.found(min(c.r.end, c.r.report.SealedTo)+1, "the seal kept outside is number %d, up to position %d; this log ends at position %d and its last seal is number %d",
			kept.Number, kept.Last, c.r.end, c.r.lastSeal)
		return nil
	}
	stored, err := c.numbered(ctx, kept.Number)
	if err != nil {
		return err
	}
	if stored.First != kept.First || stored.Last != kept.Last || stored.Previous != kept.Previous || stored.Hash != kept.Hash {
		c.found(0, "seal %d is not the one kept outside: something up to position %d was changed after it was made, and the seals with it",
			kept.Number, max(kept.Last, stored.Last))
	}
	return nil
}

// numbered gives the seal with a number; the zero seal if it is missing.
func (c *chain) numbered(ctx context.Context, number int64) (eventstore.Seal, error) {
	seals, err := eventstore.Seals(ctx, c.r.DB, number-1, 1)
	if err != nil || len(seals) == 0 || seals[0].Number != number {
		return eventstore.Seal{}, err
	}
	return seals[0], nil
}

// fetch makes sure that there is a current seal, if there is one left.
func (c *chain) fetch(ctx context.Context) error {
	if len(c.seals) > 0 {
		return nil
	}
	seals, err := eventstore.Seals(ctx, c.r.DB, c.before.Number, sealPage)
	if err != nil {
		return err
	}
	for _, s := range seals {
		// What is beyond the end of the log is not beyond the range: it is gone.
		if s.Number <= c.r.lastSeal && (s.First <= c.r.report.To || c.r.report.To == c.r.end) {
			c.seals = append(c.seals, s)
		}
	}
	if len(c.seals) > 0 {
		c.enter()
	}
	return nil
}

// enter begins the current seal and holds its place in the chain against the
// one before.
func (c *chain) enter() {
	s := c.seals[0]
	switch {
	case s.Number != c.before.Number+1:
		c.found(c.before.Last+1, "seals %d to %d are missing", c.before.Number+1, s.Number-1)
	case s.First != c.before.Last+1:
		c.found(min(s.First, c.before.Last+1), "seal %d begins at position %d and the one before ends at %d", s.Number, s.First, c.before.Last)
	case s.Previous != c.before.Hash:
		c.found(s.First, "seal %d is not chained to the one before", s.Number)
	}
	c.sealing = eventstore.NewSealing(s)
	c.digests = c.digests[:0]
}

func (c *chain) page(ctx context.Context, events []eventsourcing.Recorded) error {
	for _, e := range events {
		if err := c.leave(ctx, e.Position-1); err != nil {
			return err
		}
		if len(c.seals) == 0 || e.Position < c.seals[0].First {
			continue
		}
		hash := eventstore.Digest(e)
		c.sealing.Add(hash)
		c.digests = append(c.digests, digest{e.Position, [eventstore.DigestBytes]byte(hash[:])})
	}
	return nil
}

func (c *chain) end(ctx context.Context) error { return c.leave(ctx, math.MaxInt64) }

// leave finishes the seals that end at or before a position.
func (c *chain) leave(ctx context.Context, position int64) error {
	for len(c.seals) > 0 && c.seals[0].Last <= position {
		c.finish(c.seals[0])
		c.before, c.seals = c.seals[0], c.seals[1:]
		if len(c.seals) > 0 {
			c.enter()
		} else if err := c.fetch(ctx); err != nil {
			return err
		}
	}
	return nil
}

// finish holds a seal against its events. If it is broken and none of them is to
// blame, it is the seal.
func (c *chain) finish(s eventstore.Seal) {
	c.r.report.Seals++
	named := c.nameEvents(s)
	if named == 0 && c.sealing.Hash() != s.Hash {
		c.found(s.First, "seal %d is not the hash of the events at positions %d to %d and the seals before", s.Number, s.First, s.Last)
	}
}

// nameEvents finds out which events are not what was sealed, and says how many.
func (c *chain) nameEvents(s eventstore.Seal) (named int) {
	held := c.digests
	for sealed := range slices.Chunk(s.Digests, eventstore.DigestBytes) {
		at := s.First
		s.First++
		for len(held) > 0 && held[0].position < at {
			held = held[1:]
		}
		switch {
		case at > s.Last || len(sealed) < eventstore.DigestBytes: // the seal's own damage
			return named
		case len(held) == 0 || held[0].position != at:
			c.found(at, "the event at position %d was sealed and is missing", at)
			named++
		case !bytes.Equal(held[0].prefix[:], sealed):
			c.found(at, "the event at position %d is not the one that was sealed", at)
			named++
		}
	}
	return named
}

func (c *chain) found(position int64, format string, args ...any) {
	c.r.add(Finding{Check: "seals", Position: position, Detail: fmt.Sprintf(format, args...)})
}
