package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"time"

	"github.com/uptrace/bun/driver/pgdriver"

	"onepg/internal/fault"
)

// retryAfter is the advice that goes with "unavailable". Why one second: a
// restarted server accepts connections again in about that time.
const retryAfter = time.Second

// The SQLSTATEs the program tells apart. See "PostgreSQL Error Codes",
// appendix A of the PostgreSQL documentation.
const (
	stateUniqueViolation      = "23505"
	stateReadOnly             = "25006"
	stateIdleInTransaction    = "25P03"
	stateNotLetIn             = "28000" // no such role, or none that may log in from here
	stateWrongPassword        = "28P01"
	stateNoSuchDatabase       = "3D000"
	stateNoRight              = "42501"
	stateSerializationFailure = "40001"
	stateCompletionUnknown    = "40003"
	stateDeadlock             = "40P01"
	stateLockNotAvailable     = "55P03"
	stateAdminShutdown        = "57P01"
	stateCrashShutdown        = "57P02"
	stateIOError              = "58030"
)

// StateQueryCanceled is the SQLSTATE of a statement that ran into
// statement_timeout, or that somebody canceled.
const StateQueryCanceled = "57014"

// SQLState is the SQLSTATE in err's chain, or "" when the server said nothing.
func SQLState(err error) string { return field(err, 'C') }

// field reads a field of the server's error message; the names are those of
// the protocol ("Error and Notice Message Fields").
func field(err error, name byte) string {
	var server pgdriver.Error
	if !errors.As(err, &server) {
		return ""
	}
	return server.Field(name)
}

// IsUniqueViolation reports whether err is the refusal of a duplicate by the
// named constraint or unique index. An empty name stands for any.
func IsUniqueViolation(err error, constraint string) bool {
	return SQLState(err) == stateUniqueViolation &&
		(constraint == "" || field(err, 'n') == constraint)
}

// Retryable reports whether the whole transaction may be run again and will
// probably succeed: the server undid it to resolve a serialization failure or
// a deadlock.
func Retryable(err error) bool {
	switch SQLState(err) {
	case stateSerializationFailure, stateDeadlock:
		return true
	default:
		return false
	}
}

// IsLockTimeout reports whether a lock was not granted within lock_timeout.
func IsLockTimeout(err error) bool { return SQLState(err) == stateLockNotAvailable }

// IsForbidden reports whether the role has no right to what it tried.
func IsForbidden(err error) bool { return SQLState(err) == stateNoRight }

// OutcomeUnknown reports whether a statement or commit that failed with err may
// have taken effect all the same: it was sent, and the connection or the
// caller's context ended before the answer. What the server refused, and what
// was never sent, did not happen.
func OutcomeUnknown(err error) bool {
	var undone *undoneError
	if errors.As(err, &undone) {
		return false
	}
	if state := SQLState(err); state != "" {
		switch state {
		case stateCompletionUnknown, stateAdminShutdown, stateCrashShutdown:
			return true
		default:
			return state[:2] == "08"
		}
	}
	// Why not ErrBadConn and a failed dial: both mean nothing was sent.
	return isContextEnd(err) || isBroken(err) && !isDial(err)
}

// Fault gives err its meaning for a caller. Whatever passes when the database
// is back or less busy becomes a fault.Error of kind Unavailable with the code
// "unavailable" and err as its cause; a fault.Error and everything else come
// back as they are, nil too. It asks for SQLSTATE and error types, never for
// message texts, which change with the server's language.
func Fault(err error) error {
	if err == nil {
		return nil
	}
	if known, _ := fault.Of(err); known != nil || !isUnavailable(err) {
		return err
	}
	f := fault.Wrap(err, fault.Unavailable, "unavailable",
		"The database cannot be reached or is too busy; try again shortly.")
	f.RetryAfter = retryAfter
	return f
}

// refused gives err its meaning for whoever names the database: what PostgreSQL
// refuses by name stays refused however often it is tried. Why not in Fault: a
// client of the API that meets the same later can do nothing but try again.
func refused(err error) error {
	var advice string
	switch SQLState(err) {
	case stateNoSuchDatabase:
		advice = "The database does not exist. Create it, or correct APP_DATABASE_URL"
	case stateNotLetIn, stateWrongPassword:
		advice = "PostgreSQL does not let this user in. Correct the user or the password in APP_DATABASE_URL, or let the user in"
	default:
		return Fault(err)
	}
	return fault.Wrap(err, fault.Unavailable, "database-refused", advice)
}

func isUnavailable(err error) bool {
	var undone *undoneError
	if errors.As(err, &undone) {
		return true
	}
	if state := SQLState(err); state != "" {
		return isUnavailableState(state)
	}
	return isContextEnd(err) || isBroken(err) || errors.Is(err, driver.ErrBadConn)
}

func isUnavailableState(state string) bool {
	switch state {
	case stateReadOnly, stateIdleInTransaction, stateSerializationFailure, stateCompletionUnknown,
		stateDeadlock, stateLockNotAvailable, StateQueryCanceled, stateIOError:
		return true
	}
	switch state[:2] {
	case "08", "53": // connection exception, insufficient resources
		return true
	default:
		return state[:3] == "57P" // the server is stopping, starting or gone
	}
}

func isContextEnd(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// isBroken reports whether the connection failed on the way. pgdriver gives
// io.EOF even where the server first said why it hangs up.
func isBroken(err error) bool {
	var network net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, sql.ErrConnDone) || errors.As(err, &network)
}

func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// undoneError marks a failure of the connection that certainly left no trace:
// it came before a statement was sent or before the COMMIT of its transaction.
type undoneError struct{ err error }

func (e *undoneError) Error() string { return e.err.Error() }

// Unwrap gives the cause to errors.Is and errors.As.
func (e *undoneError) Unwrap() error { return e.err }
