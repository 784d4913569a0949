package aggregatortest

import (
	"context"
	"sync/atomic"

	"github.com/uptrace/bun"
)

// killer counts a replica's statements and ends its connections before one of
// them.
type killer struct {
	world *World
	name  string
	at    int64
	seen  atomic.Int64
}

// struck tells whether there was a statement to kill at.
func (k *killer) struck() bool { return k.seen.Load() >= k.at }

// BeforeQuery is called by bun before each statement, BEGIN and COMMIT included.
func (k *killer) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	if k.seen.Add(1) == k.at {
		k.kill()
	}
	return ctx
}

// AfterQuery completes bun.QueryHook.
func (*killer) AfterQuery(context.Context, *bun.QueryEvent) {}

// kill returns when the connections are gone, with their locks.
func (k *killer) kill() {
	k.world.Exec(`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = ? AND datname = current_database()`, k.name)
}
