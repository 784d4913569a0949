package auth

import (
	"slices"
	"strings"
)

// adminVerb is the one verb that includes others.
const adminVerb = "admin"

// Scopes are what a credential may do, each of the form "<domain>:<verb>".
//
// One rule of inclusion holds: "<domain>:admin" includes every verb of its
// domain, so that "views:admin" may also read the views. Writing does not
// include reading, because a credential that only reports events has no
// business reading them. There is no scope for everything: it would open
// domains that did not exist when the credential was made.
type Scopes []string

// Permit reports whether the scopes include the one a route asks for.
func (s Scopes) Permit(scope string) bool {
	domain, _, _ := strings.Cut(scope, ":")
	return slices.Contains(s, scope) || slices.Contains(s, domain+":"+adminVerb)
}

// Sorted gives the scopes in order, each once.
func (s Scopes) Sorted() Scopes { return slices.Compact(slices.Sorted(slices.Values(s))) }
