package tail

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// What happens to a row, as the name of its message.
const (
	RowChanged = "changed" // the data is the row as it is now
	RowRemoved = "removed" // the data is its id
)

// Change says that the row of an aggregate is what it is through the event at
// the position.
type Change struct {
	AggregateID uuid.UUID
	Position    int64
	RecordedAt  time.Time
}

// View is a view as a stream of its rows sees it. All functions speak of what
// is committed.
type View struct {
	// Position is how far the view has read the log.
	Position func(ctx context.Context) (int64, error)
	// Changes lists the rows that the events of (after, upTo] changed, each
	// once, in the order of their last such event.
	Changes func(ctx context.Context, after, upTo int64) ([]Change, error)
	// Rows gives the rows with the ids; those that are missing do not exist.
	Rows func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]any, error)
	// Wait returns when the view has read the position, or ctx ends.
	Wait func(ctx context.Context, position int64)
}

// Rows is a view as a Source: the rows that changed, as they are when they are
// read. Several changes of a row that were not read yet are one message.
//
// It is driven by events. A row that changes without a new one, because its
// view was rebuilt by another rule or a parked event was applied at last, is
// sent with its next event.
type Rows struct{ view View }

// NewRows makes it.
func NewRows(v View) *Rows { return &Rows{view: v} }

// End is the view's position.
func (s *Rows) End(ctx context.Context) (int64, error) { return s.view.Position(ctx) }

// Wait returns when the view is past the position.
func (s *Rows) Wait(ctx context.Context, position int64) { s.view.Wait(ctx, position+1) }

// Read gives the rows that changed in the stretch. A row that has changed again
// since is sent as it is now, and will be sent again: its later event is beyond
// the stretch.
func (s *Rows) Read(ctx context.Context, stretch Stretch) (Page, error) {
	upTo := stretch.UpTo
	if upTo == 0 {
		var err error
		if upTo, err = s.view.Position(ctx); err != nil {
			return Page{}, err
		}
	}
	page := Page{UpTo: max(stretch.After, min(upTo, stretch.After+int64(stretch.Limit)))}
	page.More = page.UpTo < upTo
	if page.UpTo == stretch.After {
		return page, nil
	}
	changes, err := s.view.Changes(ctx, stretch.After, page.UpTo)
	if err != nil || len(changes) == 0 {
		return page, err
	}
	ids := make([]uuid.UUID, len(changes))
	for i, c := range changes {
		ids[i] = c.AggregateID
	}
	rows, err := s.view.Rows(ctx, ids)
	if err != nil {
		return Page{}, err
	}
	page.Messages = make([]*Message, len(changes))
	for i, c := range changes {
		if page.Messages[i], err = rowMessage(c, rows); err != nil {
			return Page{}, err
		}
	}
	return page, nil
}

func rowMessage(c Change, rows map[uuid.UUID]any) (*Message, error) {
	name, data := RowRemoved, any(map[string]uuid.UUID{"id": c.AggregateID})
	if row, exists := rows[c.AggregateID]; exists {
		name, data = RowChanged, row
	}
	f, err := frame(c.Position, name, data)
	if err != nil {
		return nil, err
	}
	return &Message{
		Position: c.Position, AggregateID: c.AggregateID, Name: name, RecordedAt: c.RecordedAt, Frame: f,
	}, nil
}
