package httpapi

import (
	"context"
	"strconv"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// Revision is one entry of a history: an event, and what it changed.
type Revision struct {
	eventsourcing.Recorded

	Changes []PatchOperation `json:"changes" nullable:"true" doc:"The patch (RFC 6902) from the row before the event to the row after it; null where the view cannot apply the event."`
}

// ChangeLog is the past as a history; see aggregator.Past.
type ChangeLog[Row any] interface {
	// History gives at most limit changes below the version before, newest first.
	History(ctx context.Context, id uuid.UUID, before, limit int) ([]eventsourcing.Change[Row], error)
}

// ReadHistory answers one page of who changed what and when, newest first. The
// cursor holds the version that a page ended with, so new events do not move
// the pages.
func ReadHistory[Row any](ctx context.Context, log ChangeLog[Row], id ID, p *Paging) (*Listing[Revision], error) {
	before := 0
	if cursor := p.After(); cursor != nil {
		var err error
		if before, err = strconv.Atoi(cursor.Key); err != nil || before < 1 {
			return nil, BadParameter("cursor", "is not one this server made")
		}
	}
	changes, err := log.History(ctx, id.UUID, before, p.Limit+1)
	if err != nil {
		return nil, err
	}
	revisions := make([]Revision, len(changes))
	for i, c := range changes {
		revisions[i].Recorded = c.Event
		if c.Err != nil {
			continue
		}
		if revisions[i].Changes, err = diff(c.Before, c.After); err != nil {
			return nil, err
		}
	}
	return NewListing(p, revisions, func(r Revision) Cursor {
		return Cursor{Key: strconv.Itoa(r.Version), ID: r.ID}
	}), nil
}
