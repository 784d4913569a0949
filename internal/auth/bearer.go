package auth

import (
	"net/http"
	"strings"

	"onepg/internal/fault"
)

// maxToken is longer than the tokens of the usual issuers. Why bounded: what is
// longer is refused before it is hashed or decoded.
const maxToken = 8 << 10

// bearer reads the credential of a request, after RFC 6750 section 2.1. A token
// in the query or the body is not looked for: it would end up in logs.
func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", unauthenticated("A credential is needed: send the header Authorization: Bearer <credential>.")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || !isToken68(token) {
		return "", unauthenticated("The header Authorization is malformed: send it once, as Bearer <credential>.")
	}
	return token, nil
}

// isToken68 reports whether s has the form that RFC 9110 gives a bearer token.
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	if body == "" || len(s) > maxToken {
		return false
	}
	for i := range len(body) {
		c := body[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~+/", rune(c)) {
			return false
		}
	}
	return true
}

// unauthenticated is the refusal of a request without a valid credential.
func unauthenticated(why string) error {
	return fault.New(fault.Unauthenticated, "unauthenticated", why)
}
