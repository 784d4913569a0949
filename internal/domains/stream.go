package domains

import (
	"context"
	"reflect"

	"github.com/google/uuid"
)

// Stream names a view whose rows are sent to clients as they change. Make one
// with [StreamOf].
type Stream struct {
	View string
	// Row is the type of the rows, for the specification.
	Row reflect.Type
	// Rows gives the rows with the ids as GET shows them; those that are
	// missing do not exist.
	Rows func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]any, error)
}

// StreamOf makes the stream of a view. load reads rows by their ids.
func StreamOf[Row any](view string, load func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Row, error)) Stream {
	return Stream{View: view, Row: reflect.TypeFor[Row](), Rows: func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]any, error) {
		found, err := load(ctx, ids)
		rows := make(map[uuid.UUID]any, len(found))
		for id, row := range found {
			rows[id] = row
		}
		return rows, err
	}}
}
