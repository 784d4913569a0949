// Package fault is the one error type of the program.
//
// An [Error] speaks to three readers at once: Kind tells the machine what sort
// of failure it is (the HTTP layer turns it into a status in its only table),
// Code and Message tell the client, and Err keeps the cause for the operator's
// log. Message is safe to show: it never holds SQL, a stack or a secret.
//
// Anything that is not an [Error] is a failure nobody foresaw. It reaches the
// client as a fixed "internal" problem and the log in full.
package fault

import (
	"errors"
	"time"
)

// Kind sorts failures by who has to act and how. Each kind has exactly one
// HTTP status.
type Kind int

// The kinds, with the status they become.
const (
	Internal         Kind = iota // 500: a defect of ours
	Malformed                    // 400: cannot be read at all
	Unauthenticated              // 401: no or a wrong credential
	Forbidden                    // 403: the credential may not do this
	NotFound                     // 404: never existed
	MethodNotAllowed             // 405: the path exists, not with this method
	Conflict                     // 409: true, but not against the present state
	Gone                         // 410: existed and was deleted
	Precondition                 // 412: If-Match did not hold
	TooLarge                     // 413: over a size limit
	Unsupported                  // 415: wrong content type or encoding
	Invalid                      // 422: readable, but breaks a rule
	Limited                      // 429: over the rate
	Unavailable                  // 503: try again, nothing is known to be lost
	Timeout                      // 504: a wait the client asked for ran out
)

// Field is one mistake in a request body. Pointer is an RFC 6901 JSON pointer
// into the body as it was sent ("" is the whole body).
type Field struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// SchemaName is what clients know the type as, who know no packages.
func (Field) SchemaName() string { return "Mistake" }

// Error is a failure with a stable meaning. Code is public: it is the last
// part of the problem's type URI and never changes once released.
type Error struct {
	Kind    Kind
	Code    string
	Message string
	// Fields lists every mistake of a body, in the order of the body.
	Fields []Field
	// CurrentVersion is the aggregate's version a conflict was decided
	// against; nil where the failure is not about versions.
	CurrentVersion *int
	// Event is the index of the event that was refused, among those that were
	// to be recorded together; nil where the failure is not about one of them.
	Event *int
	// RetryAfter asks the client to wait; zero means no advice.
	RetryAfter time.Duration
	// Err is the cause. It goes to the log, never to the client.
	Err error
}

// New makes an Error without a cause.
func New(kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message}
}

// Wrap makes an Error that remembers its cause.
func Wrap(err error, kind Kind, code, message string) *Error {
	return &Error{Kind: kind, Code: code, Message: message, Err: err}
}

// Validation makes the failure for a body whose fields break rules. All
// mistakes are reported at once so that a client corrects them in one go.
func Validation(fields []Field) *Error {
	return &Error{
		Kind: Invalid, Code: "validation-failed",
		Message: "The body breaks one or more rules; errors lists each of them.",
		Fields:  fields,
	}
}

// Error gives the message with its cause, for logs and the command line.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// Of finds the Error in err's chain. It reports false for a failure that
// nobody foresaw.
func Of(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// Is reports whether err carries the code.
func Is(err error, code string) bool {
	e, ok := Of(err)
	return ok && e.Code == code
}
