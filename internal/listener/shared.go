package listener

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/driver/pgdriver"
)

// sharedRounds is how often the connections are asked. Why more than once: a
// busy pooler may happen to have two server connections for our two.
const sharedRounds = 5

// IsShared reports whether something between us and PostgreSQL shares out its
// connections, as a pooler in transaction mode does. Two of ours that are open
// at once then have the same server process, or one of them has several. The
// pool must allow two connections more than are in use; they are closed.
func IsShared(ctx context.Context, db *bun.DB) (shared bool, err error) {
	err = dedicated(ctx, db, func(one *pgdriver.Conn) error {
		return dedicated(ctx, db, func(two *pgdriver.Conn) error {
			shared, err = areShared(ctx, one, two)
			return err
		})
	})
	return shared, err
}

func areShared(ctx context.Context, conns ...*pgdriver.Conn) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var first [2]string
	for range sharedRounds {
		var backends [2]string
		for i, conn := range conns {
			var err error
			if backends[i], err = backend(ctx, conn); err != nil {
				return false, err
			}
		}
		if first == [2]string{} {
			first = backends
		}
		if backends[0] == backends[1] || backends != first {
			return true, nil
		}
	}
	return false, nil
}

// backend is the process id of the server behind a connection, as text.
func backend(ctx context.Context, conn *pgdriver.Conn) (string, error) {
	rows, err := conn.QueryContext(ctx, "SELECT pg_backend_pid()", nil)
	if err != nil {
		return "", fmt.Errorf("ask for the server process: %w", err)
	}
	defer func() { _ = rows.Close() }() // it is read to its end
	pid := make([]driver.Value, 1)
	if err := rows.Next(pid); err != nil {
		return "", fmt.Errorf("ask for the server process: %w", err)
	}
	return fmt.Sprint(pid[0]), nil
}
