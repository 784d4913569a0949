package httpapi

import (
	"net/http"

	"onepg/internal/fault"
)

// Codes of the problems the edge itself answers with.
const (
	codeBadParameter     = "bad-parameter"
	codeCancelled        = "request-cancelled"
	codeForbidden        = "forbidden"
	codeHeadersTooLarge  = "headers-too-large"
	codeInternal         = "internal"
	codeMalformedBody    = "malformed-body"
	codeMethodNotAllowed = "method-not-allowed"
	codeNotFound         = "not-found"
	codeRateLimited      = "rate-limited"
	codeRequestTimeout   = "request-timeout"
	codeTooLarge         = "too-large"
	codeUnauthenticated  = "unauthenticated"
	codeUnavailable      = "unavailable"
	codeUnsupported      = "unsupported-media-type"
	codeValidation       = "validation-failed"
)

// statusClientClosed is what nginx logs for a client that went away; nobody is
// left to read it, but counting it as a 5xx would blame us.
const statusClientClosed = 499

// statusOf is the only place where a kind of failure becomes a status.
func statusOf(kind fault.Kind) int {
	switch kind {
	case fault.Malformed:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case fault.Conflict:
		return http.StatusConflict
	case fault.Gone:
		return http.StatusGone
	case fault.Precondition:
		return http.StatusPreconditionFailed
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unsupported:
		return http.StatusUnsupportedMediaType
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.Limited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Timeout:
		return http.StatusGatewayTimeout
	case fault.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}
