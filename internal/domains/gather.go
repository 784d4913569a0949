package domains

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// gatherTimeout ends a query that the server does not answer. It is longer than
// the server's own statement_timeout, which should come first.
const gatherTimeout = 8 * time.Second

// Gather makes a reader of one from a reader of many: calls that come while a
// query is in flight share the next one, up to most of them. It waits for nobody,
// so a lone call is a query of one, and a query begins after all calls that share
// it, so each sees what was committed before it. found is false for a key that
// load gave nothing for. Callers with the same key get the same value and must
// not change it.
//
// One query is in flight at a time, so each has to be of bounded cost. Why not
// two: they gather less, and pages of payments took a fifth more processor time.
//
// load is called with a context of its own, because one caller that leaves must
// not end the query of the others. An error of load is the error of all who
// share the query.
func Gather[Key comparable, Value any](
	most int, load func(ctx context.Context, keys []Key) (map[Key]Value, error),
) func(ctx context.Context, key Key) (value Value, found bool, err error) {
	g := &gatherer[Key, Value]{most: most, load: load}
	return g.find
}

type gatherer[Key comparable, Value any] struct {
	most int
	load func(context.Context, []Key) (map[Key]Value, error)

	mu      sync.Mutex
	waiting []*query[Key, Value] // the last is being gathered
	running bool                 // a query is in flight
}

// query is one that calls share. Values and err hold when done is closed.
type query[Key comparable, Value any] struct {
	keys   []Key
	done   chan struct{}
	values map[Key]Value
	err    error
}

func (g *gatherer[Key, Value]) find(ctx context.Context, key Key) (value Value, found bool, err error) {
	q := g.join(key)
	select {
	case <-q.done:
		value, found = q.values[key]
		return value, found, q.err
	case <-ctx.Done():
		return value, false, fmt.Errorf("wait for a query: %w", context.Cause(ctx))
	}
}

// join adds the key to a query, and sees to it that it will be sent.
func (g *gatherer[Key, Value]) join(key Key) *query[Key, Value] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.waiting); n == 0 || len(g.waiting[n-1].keys) == g.most {
		g.waiting = append(g.waiting, &query[Key, Value]{done: make(chan struct{})})
	}
	q := g.waiting[len(g.waiting)-1]
	q.keys = append(q.keys, key)
	if !g.running {
		g.running = true
		go g.run()
	}
	return q
}

// run sends queries as long as somebody waits for one.
func (g *gatherer[Key, Value]) run() {
	for q := g.take(); q != nil; q = g.take() {
		ctx, cancel := context.WithTimeout(context.Background(), gatherTimeout)
		q.values, q.err = g.load(ctx, q.keys)
		cancel()
		close(q.done)
	}
}

// take gives the next query; nil ends the run.
func (g *gatherer[Key, Value]) take() *query[Key, Value] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.running = false
		return nil
	}
	q := g.waiting[0]
	g.waiting = g.waiting[1:]
	return q
}
