package doctor

import (
	"context"

	"onepg/internal/listener"
)

// pooler finds out whether queries go through a pooler in transaction mode.
func pooler(ctx context.Context, p *patient) Finding {
	shared, err := listener.IsShared(ctx, p.db)
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
		return warning(found, "Set APP_LISTEN_URL to an address that goes straight to PostgreSQL, which migrations and rebuilds take as well, "+
			"and set the timeouts on the role (ALTER ROLE app SET statement_timeout = '5s'), where they reach every session.")
	}
	return ok(found + "; APP_LISTEN_URL is another address")
}
