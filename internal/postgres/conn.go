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
// seven statements is two messages, or one.
type conn struct {
	*pgdriver.Conn

	begin string   // of a transaction that has sent nothing yet
	begun bool     // the server may know of the transaction
	lost  bool     // its first message failed, and BEGIN perhaps with it
	later []string // statements that wait for the next one
}

type laterKey struct{}

// Later is for statements of a transaction whose results nobody needs. With the
// context it gives, Exec notes the statement and returns no error; it is sent with
// the next one that is not of this kind, at the latest with COMMIT, and the error
// of that is the first of all of them. Queries, and what is outside of a
// transaction, are sent at once.
//
// Not for a savepoint: it may be over when the error comes. And not for what must
// not be done twice: statement_timeout is for each statement of a message and our
// patience for the message, so whether it was committed may stay unknown more often.
func Later(ctx context.Context) context.Context { return context.WithValue(ctx, laterKey{}, true) }

// Raw runs f with pgdriver's connection under one of a pool, which may be another
// pool than those of this package. Pgdriver's CopyFrom and CopyTo need it too: they
// know no other connection.
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

var (
	errLost = errors.New("the transaction could not be begun: its first statement failed")
	// Why: with pgdriver v1.2.18 a prepared statement that fails half-way leaves its
	// answer to whoever has the connection next, and arguments would go where any of the
	// message's statements has a ? or $1, also within a value.
	errArguments = errors.New("prepared statements and arguments are not used; bun puts the values into the query")
)

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
	_, err := c.ExecContext(context.Background(), "COMMIT", nil)
	if server := (pgdriver.Error{}); errors.As(err, &server) || errors.Is(err, errLost) {
		return errors.Join(err, c.Rollback()) // COMMIT was not executed, because something before it failed
	}
	c.begun = false
	return err
}

// Rollback implements driver.Tx.
func (c *conn) Rollback() error {
	begun := c.begun
	c.begin, c.begun, c.lost, c.later = "", false, false, nil
	if !begun {
		return nil
	}
	_, err := c.Conn.ExecContext(context.Background(), "ROLLBACK", nil)
	return err //nolint:wrapcheck // the caller says what it was about
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	switch {
	case len(args) > 0:
		return nil, errArguments
	case ctx.Value(laterKey{}) != nil && c.inTx():
		c.later = append(c.later, query)
		return driver.ResultNoRows, nil
	}
	return together(c, query, func(message string) (driver.Result, error) {
		return c.Conn.ExecContext(ctx, message, nil)
	})
}

// QueryContext implements driver.QueryerContext. BEGIN goes with the query, what was
// noted before it: pgdriver takes the first rows of an answer for the query's.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) > 0 {
		return nil, errArguments
	}
	if len(c.later) > 0 {
		if err := c.send(ctx); err != nil {
			return nil, err
		}
	}
	return together(c, query, func(message string) (driver.Rows, error) {
		return c.Conn.QueryContext(ctx, message, nil)
	})
}

// PrepareContext implements driver.ConnPrepareContext.
func (*conn) PrepareContext(context.Context, string) (driver.Stmt, error) { return nil, errArguments }

func (c *conn) inTx() bool { return c.begun || c.begin != "" }

// send sends what waits.
func (c *conn) send(ctx context.Context) error {
	_, err := together(c, "", func(message string) (driver.Result, error) {
		return c.Conn.ExecContext(ctx, message, nil)
	})
	return err
}

// together sends a message with all that waits, and the query at its end.
func together[Answer any](c *conn, query string, send func(message string) (Answer, error)) (answer Answer, err error) {
	if c.lost {
		return answer, errLost
	}
	statements, first := c.later, c.begin != ""
	if first {
		statements = append([]string{c.begin}, statements...)
		c.begun = true
	}
	c.begin, c.later = "", nil
	// Why on a line of its own: the statement before may end with a comment.
	answer, err = send(strings.Join(append(statements, query), "\n;"))
	// Why: PostgreSQL takes a message that it cannot parse for no statement at all,
	// and what comes next would be outside of a transaction.
	c.lost = first && err != nil
	return answer, err
}
