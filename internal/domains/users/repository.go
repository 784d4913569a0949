package users

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// repository reads the view.
type repository struct{ db *bun.DB }

// find gives the user's row. With no row, known tells a deleted user from one
// that never was: the view's lock remembers every aggregate.
func (r repository) find(ctx context.Context, id uuid.UUID) (user *User, known bool, err error) {
	user = new(User)
	err = r.db.NewSelect().Model(user).Where("id = ?", id).Scan(ctx)
	if err == nil {
		return user, true, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, false, fmt.Errorf("find user %s: %w", id, err)
	}
	known, err = r.db.NewSelect().Table("view_locks").
		Where("view = ?", view).Where("aggregate_id = ?", id).Exists(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("find out whether user %s was deleted: %w", id, err)
	}
	return nil, known, nil
}
