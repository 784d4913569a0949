package doctor

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"onepg/internal/postgres"
)

// poolerRounds is how often the connections are asked. Why more than once: a
// busy pooler may happen to have two server connections for our two.
const poolerRounds = 5

// pooler finds out whether queries go through a pooler in transaction mode.
func pooler(ctx context.Context, p *patient) Finding {
	shared, err := isShared(ctx, p.db)
	if err != nil {
		return unanswered(err)
	}
	return judgePooler(shared, p.url == p.listenURL)
}

func judgePooler(shared, sameAddress bool) Finding {
	const found = "APP_DATABASE_URL goes through a pooler in transaction mode"
	switch {
	case !shared:
		return ok("each connection has a server process of its own")
	case sameAddress:
		return warning(found, "Set APP_LISTEN_URL to an address that goes straight to PostgreSQL, apply migrations through that one too, "+
			"and set the timeouts on the role (ALTER ROLE app SET statement_timeout = '5s'), where they reach every session.")
	}
	return ok(found + "; APP_LISTEN_URL is another address")
}

// isShared reports whether something between us and PostgreSQL shares out its
// connections. Two of ours that are open at once then have the same server
// process, or one of them has several.
func isShared(ctx context.Context, db *bun.DB) (bool, error) {
	var conns [2]bun.Conn
	for i := range conns {
		conn, err := postgres.Acquire(ctx, db, 0)
		if err != nil {
			return false, err
		}
		defer func() { _ = conn.Close() }() // it only goes back to the pool
		conns[i] = conn
	}
	var first [2]int
	for range poolerRounds {
		var pids [2]int
		for i, conn := range conns {
			if err := conn.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pids[i]); err != nil {
				return false, fmt.Errorf("ask for the server process: %w", err)
			}
		}
		if first == [2]int{} {
			first = pids
		}
		if pids[0] == pids[1] || pids != first {
			return true, nil
		}
	}
	return false, nil
}
