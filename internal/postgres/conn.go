package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun/driver/pgdriver"
)

// conn is pgdriver's connection, on which the statements of a transaction can
// travel together: BEGIN goes with the first one, and what was run [Later] with
// the next, or with COMMIT. PostgreSQL executes several statements of one message in
// order, up to the first that fails; see "Simple Query" in its documentation of the
// protocol.
//
// Why: each message is a round trip and wakes two processes. A view's batch of
// seven statements is two messages.
type conn struct {
	*pgdriver.Conn

	begin string   // of a transaction that has sent nothing yet
	begun bool     // the server knows of the transaction
	later []string // statements that wait for the next one
}

type laterKey struct{}

// Later is for statements of a transaction whose results nobody needs. With the
// context it gives, Exec notes the statement and returns no error; it is sent with
// the next one that is not of this kind, at the latest with COMMIT, and the error
// of that is the first of all of them. Queries, and what is outside of a
// transaction, are sent at once.
//
// Not for a savepoint: it may be over when the error comes.
func Later(ctx context.Context) context.Context { return context.WithValue(ctx, laterKey{}, true) }

// Raw runs f with pgdriver's connection under one of a pool, which may be another
// pool than those of this package.
func Raw(pooled *sql.Conn, f func(*pgdriver.Conn) error) error {
	return pooled.Raw(func(opened any) error { //nolint:wrapcheck // it is f's error
		switch c := opened.(type) {
		case *conn:
			return f(c.Conn)
		case *pgdriver.Conn:
			return f(c)
		default:
			return fmt.Errorf("a connection of type %T is not pgdriver's", opened)
		}
	})
}

// BeginTx implements driver.ConnBeginTx. What is wrong with the connection, or
// with the level, comes out with the first statement.
func (c *conn) BeginTx(_ context.Context, o driver.TxOptions) (driver.Tx, error) {
	c.begin = "BEGIN"
	if level := sql.IsolationLevel(o.Isolation); level != sql.LevelDefault {
		c.begin += " ISOLATION LEVEL " + level.String()
	}
	if o.ReadOnly {
		c.begin += " READ ONLY"
	}
	return c, nil
}

// Commit implements driver.Tx.
func (c *conn) Commit() error {
	if c.begin != "" && len(c.later) == 0 {
		c.begin = ""
		return nil
	}
	_, err := c.Conn.ExecContext(context.Background(), c.together("COMMIT"), nil)
	if server := (pgdriver.Error{}); errors.As(err, &server) {
		return errors.Join(err, c.Rollback()) // COMMIT was not executed, because something before it failed
	}
	c.begun = false
	return err //nolint:wrapcheck // the caller says what it was about
}

// Rollback implements driver.Tx.
func (c *conn) Rollback() error {
	begun := c.begun
	c.begin, c.begun, c.later = "", false, nil
	if !begun {
		return nil
	}
	_, err := c.Conn.ExecContext(context.Background(), "ROLLBACK", nil)
	return err //nolint:wrapcheck // as above
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if ctx.Value(laterKey{}) != nil && c.inTx() && len(args) == 0 {
		c.later = append(c.later, query)
		return driver.ResultNoRows, nil
	}
	if len(args) > 0 {
		if err := c.send(ctx); err != nil {
			return nil, err
		}
	}
	return c.Conn.ExecContext(ctx, c.together(query), args) //nolint:wrapcheck // as above
}

// QueryContext implements driver.QueryerContext. BEGIN goes with the query, what was
// noted before it: pgdriver takes the first rows of an answer for the query's.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) > 0 || len(c.later) > 0 {
		if err := c.send(ctx); err != nil {
			return nil, err
		}
	}
	return c.Conn.QueryContext(ctx, c.together(query), args) //nolint:wrapcheck // as above
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.send(ctx); err != nil {
		return nil, err
	}
	return c.Conn.PrepareContext(ctx, query) //nolint:wrapcheck // as above
}

func (c *conn) inTx() bool { return c.begun || c.begin != "" }

// send sends what waits. Before arguments it has to be: pgdriver puts them where a
// message has a ? or $1, also within the values of what waits. Bun's queries have
// none, it puts the values in itself.
func (c *conn) send(ctx context.Context) error {
	if c.begin == "" && len(c.later) == 0 {
		return nil
	}
	_, err := c.Conn.ExecContext(ctx, c.together(""), nil)
	return err //nolint:wrapcheck // as above
}

// together is the message with all that waits, and the query at its end.
func (c *conn) together(query string) string {
	statements := c.later
	if c.begin != "" {
		statements = append([]string{c.begin}, statements...)
		c.begun = true
	}
	c.begin, c.later = "", nil
	// Why on a line of its own: the statement before may end with a comment.
	return strings.Join(append(statements, query), "\n;")
}
