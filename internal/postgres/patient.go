package postgres

import (
	"context"
	"database/sql"
	"time"

	"github.com/uptrace/bun"
)

// patient is a pool in which nobody waits for a connection longer than a while,
// whatever the query may take after that. bun asks it for the connection of
// every query that it builds.
type patient struct {
	pool *sql.DB
	wait time.Duration
}

// ResolveConn gives the pool itself, as a connection that is acquired anew for
// each query.
func (p *patient) ResolveConn(context.Context, bun.Query) bun.IConn { return p }

// Close leaves the pool to bun, which closes it too.
func (p *patient) Close() error { return nil }

func (p *patient) acquire(ctx context.Context) (*sql.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, p.wait)
	defer cancel()
	conn, err := p.pool.Conn(bounded)
	if err != nil {
		return nil, undoneWait(p.wait, err)
	}
	return conn, nil
}

// QueryContext gives the connection back when the rows are closed.
func (p *patient) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	conn, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := conn.QueryContext(ctx, query, args...)
	// Why not at once: Close waits until the rows are closed.
	go func() { _ = conn.Close() }() // it only returns the connection to the pool
	return rows, err                 //nolint:wrapcheck // bun's caller wraps it
}

// ExecContext is that of a connection.
func (p *patient) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	conn, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()          // as above
	return conn.ExecContext(ctx, query, args...) //nolint:wrapcheck // bun's caller wraps it
}

// QueryRowContext is that of a connection, too. Where none comes, the row has
// the error of the context that was waited with: nothing else makes a sql.Row.
func (p *patient) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	conn, err := p.acquire(ctx)
	if err != nil {
		late, cancel := context.WithTimeout(ctx, 0)
		defer cancel()
		return p.pool.QueryRowContext(late, query, args...)
	}
	row := conn.QueryRowContext(ctx, query, args...)
	go func() { _ = conn.Close() }() // as above
	return row
}
