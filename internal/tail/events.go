package tail

import (
	"bytes"
	"context"
	"encoding/json"

	"onepg/internal/eventsourcing"
)

// Log is the log as a stream of its events reads it.
type Log interface {
	// Head is the last position.
	Head(ctx context.Context) (int64, error)
	// Stretch gives the events of the stretch, in the order of positions.
	Stretch(ctx context.Context, s Stretch) ([]eventsourcing.Recorded, error)
}

// scanWindow bounds how many positions one read looks at for a filter that
// seldom selects. Why: each read ends well before the statement timeout,
// however long the log is.
const scanWindow = 10_000

// Events is the log as a Source: each event in the newest version of its
// schema.
type Events struct {
	log      Log
	registry *eventsourcing.Registry
	wake     <-chan struct{}
}

// NewEvents makes it. wake says that the log may have grown, at the latest
// every second.
func NewEvents(log Log, registry *eventsourcing.Registry, wake <-chan struct{}) *Events {
	return &Events{log: log, registry: registry, wake: wake}
}

// End is the head of the log.
func (s *Events) End(ctx context.Context) (int64, error) { return s.log.Head(ctx) }

// Wait returns at the next wake. Wakes that came meanwhile count.
func (s *Events) Wait(ctx context.Context, _ int64) {
	select {
	case <-s.wake:
	case <-ctx.Done():
	}
}

// Read reads the events of the stretch. Positions have no gaps, so what is not
// there was not selected, or is not recorded yet.
func (s *Events) Read(ctx context.Context, stretch Stretch) (Page, error) {
	if stretch.UpTo > 0 {
		stretch.UpTo = min(stretch.UpTo, stretch.After+scanWindow)
	}
	events, err := s.log.Stretch(ctx, stretch)
	if err != nil {
		return Page{}, err
	}
	page := Page{Messages: make([]*Message, len(events)), UpTo: max(stretch.UpTo, stretch.After)}
	for i, e := range events {
		if page.Messages[i], err = s.message(e); err != nil {
			return Page{}, err
		}
	}
	if page.More = len(events) == stretch.Limit; page.More || stretch.UpTo == 0 && len(events) > 0 {
		page.UpTo = events[len(events)-1].Position
	}
	return page, nil
}

func (s *Events) message(e eventsourcing.Recorded) (*Message, error) {
	// Where that fails the event goes out as it is recorded, with its schema version
	// in it: a newer program recorded it, or its upcaster fails, which the views report.
	// To leave it out would be a gap, and to stop here would stop everybody.
	e, _ = s.registry.Upcast(e)
	data, err := frame(e.Position, e.Name, e)
	if err != nil {
		return nil, err
	}
	return &Message{
		Position: e.Position, Aggregate: e.Aggregate, AggregateID: e.AggregateID, Name: e.Name,
		CorrelationID: correlation(e.Metadata), RecordedAt: e.RecordedAt.Time, Frame: data,
	}, nil
}

// correlation is what ties an event to others, where it is a text.
func correlation(metadata json.RawMessage) string {
	if !bytes.Contains(metadata, []byte(`"correlation_id"`)) { // nor does it cost anything
		return ""
	}
	var m struct {
		ID any `json:"correlation_id"`
	}
	_ = json.Unmarshal(metadata, &m) // it is an object; the rest is the client's
	id, _ := m.ID.(string)
	return id
}
