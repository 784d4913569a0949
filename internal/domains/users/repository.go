package users

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/domains"
)

// repository reads the view.
type repository struct {
	db *bun.DB
	// row gives a user's row, and remembered tells whether the view ever had
	// one. Both gather: with 64 clients a read takes the program and PostgreSQL
	// 45 µs of a processor, and 100 with a query of its own.
	row        func(ctx context.Context, id uuid.UUID) (user *User, found bool, err error)
	remembered func(ctx context.Context, id uuid.UUID) (yes, found bool, err error)
}

func newRepository(db *bun.DB) repository {
	r := repository{db: db}
	const most = 1000
	r.row = domains.Gather(most, r.withIDs)
	r.remembered = domains.Gather(most, r.locked)
	return r
}

// find gives the user's row. With no row, known tells a deleted user from one
// that never was: the view's lock remembers every aggregate.
func (r repository) find(ctx context.Context, id uuid.UUID) (user *User, known bool, err error) {
	user, found, err := r.row(ctx, id)
	if found || err != nil {
		return user, found, err
	}
	if known, _, err = r.remembered(ctx, id); !known || err != nil {
		return nil, false, err
	}
	// Why again: a user who came between the two questions has both a row and a
	// lock, and was not deleted.
	user, _, err = r.row(ctx, id)
	return user, err == nil, err
}

// locked tells which of the users the view has a lock of.
//
// Why OFFSET 0: to look each up, as in withIDs.
func (r repository) locked(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	var known []uuid.UUID
	err := r.db.NewRaw(`SELECT i.id FROM unnest(?::uuid[]) AS i (id)
	 WHERE EXISTS (SELECT FROM view_locks l WHERE l.view = ? AND l.aggregate_id = i.id OFFSET 0)`,
		pgdialect.Array(ids), view).Scan(ctx, &known)
	if err != nil {
		return nil, fmt.Errorf("find out which of %d users were deleted: %w", len(ids), err)
	}
	locked := make(map[uuid.UUID]bool, len(known))
	for _, id := range known {
		locked[id] = true
	}
	return locked, nil
}

// withIDs gives those of the users that exist.
//
// Why LATERAL and LIMIT: it makes PostgreSQL look each id up. With the ids as a
// list it reads the whole table where it takes that for cheaper: 20,000 users for
// the sake of 100.
func (r repository) withIDs(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]*User, error) {
	var rows []*User
	err := r.db.NewSelect().Model(&rows).ModelTableExpr(`unnest(?::uuid[]) AS i (id)
	 CROSS JOIN LATERAL (SELECT * FROM ? u WHERE u.id = i.id LIMIT 1) AS "user"`, pgdialect.Array(ids), bun.Ident(view)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %d users: %w", len(ids), err)
	}
	users := make(map[uuid.UUID]*User, len(rows))
	for _, user := range rows {
		users[user.ID] = user
	}
	return users, nil
}

// order is one way to sort: by a column, or an expression of it, that has an
// index ending in the id.
type order struct {
	column string
	key    func(*User) string // a row's place in the order, as a cursor keeps it
	value  string             // how a cursor's key becomes comparable with the column
	isTime bool               // the key is a time
}

// orders are what GET /v1/users sorts by.
//
//nolint:gochecknoglobals // a constant table
var orders = map[string]order{
	"created_at": {column: "created_at", key: func(u *User) string { return u.CreatedAt.String() }, value: "?::timestamptz", isTime: true},
	"updated_at": {column: "updated_at", key: func(u *User) string { return u.UpdatedAt.String() }, value: "?::timestamptz", isTime: true},
	"name":       {column: `lower(name) COLLATE "C"`, key: func(u *User) string { return u.Name }, value: `lower(?) COLLATE "C"`},
}

// filter selects a part of the list: at most limit rows that come after a row
// in the order.
type filter struct {
	by      order
	desc    bool
	email   string // equal, in any case
	name    string // prefix, in any case
	after   *string
	afterID uuid.UUID
	limit   int64
}

// list gives the rows in the filter's order. Each combination runs on the
// order's index, so a page costs the same wherever it is.
func (r repository) list(ctx context.Context, f filter) ([]*User, error) {
	var rows []*User
	direction, beyond := "ASC", ">"
	if f.desc {
		direction, beyond = "DESC", "<"
	}
	q := r.db.NewSelect().Model(&rows).
		OrderExpr(f.by.column + " " + direction + ", id " + direction).Limit(f.limit)
	if f.after != nil {
		q = q.Where("("+f.by.column+", id) "+beyond+" ("+f.by.value+", ?)", *f.after, f.afterID)
	}
	if f.email != "" {
		q = q.Where("lower(email) = lower(?)", f.email)
	}
	if f.name != "" {
		q = q.Where(`lower(name) COLLATE "C" LIKE lower(?)`, prefixPattern.Replace(f.name)+"%")
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("list users by %s: %w", f.by.column, err)
	}
	return rows, nil
}

// prefixPattern takes the special meaning from a LIKE pattern's characters.
//
//nolint:gochecknoglobals // a constant
var prefixPattern = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
