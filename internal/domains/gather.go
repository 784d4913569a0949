package domains

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// gatherTimeout ends a query that the server does not answer. It is longer than
// the server's own statement_timeout, which should come first.
const gatherTimeout = 8 * time.Second

// Gather makes a reader of single rows from a reader of many: calls that come
// while a query is in flight share the next one. It waits for nobody, so a lone
// call is a query of one, and a query begins after all calls that share it, so
// each sees what was committed before it. found is false for an id that load
// gave no row for. Callers that ask for the same id get the same row and must
// not change it.
//
// load is called with a context of its own, because one caller that leaves must
// not end the query of the others. An error of load is the error of all who
// share the query.
func Gather[Row any](
	load func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Row, error),
) func(ctx context.Context, id uuid.UUID) (row Row, found bool, err error) {
	g := &gatherer[Row]{load: load}
	return g.find
}

type gatherer[Row any] struct {
	load func(context.Context, []uuid.UUID) (map[uuid.UUID]Row, error)

	mu      sync.Mutex
	next    *query[Row] // is being gathered; nil when nobody waits
	running bool        // a query is in flight
}

// query is one that calls share. Rows and err hold when done is closed.
type query[Row any] struct {
	ids  []uuid.UUID
	done chan struct{}
	rows map[uuid.UUID]Row
	err  error
}

func (g *gatherer[Row]) find(ctx context.Context, id uuid.UUID) (row Row, found bool, err error) {
	q := g.join(id)
	select {
	case <-q.done:
		row, found = q.rows[id]
		return row, found, q.err
	case <-ctx.Done():
		return row, false, fmt.Errorf("wait for a query: %w", context.Cause(ctx))
	}
}

// join adds the id to the next query, and sees to it that there will be one.
func (g *gatherer[Row]) join(id uuid.UUID) *query[Row] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = &query[Row]{done: make(chan struct{})}
	}
	g.next.ids = append(g.next.ids, id)
	if !g.running {
		g.running = true
		go g.run()
	}
	return g.next
}

// run sends queries as long as somebody waits for one.
func (g *gatherer[Row]) run() {
	for q := g.take(); q != nil; q = g.take() {
		ctx, cancel := context.WithTimeout(context.Background(), gatherTimeout)
		q.rows, q.err = g.load(ctx, q.ids)
		cancel()
		close(q.done)
	}
}

// take gives the next query; nil ends the run.
func (g *gatherer[Row]) take() *query[Row] {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.next
	g.next, g.running = nil, q != nil
	return q
}
