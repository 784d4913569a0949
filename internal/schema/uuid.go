package schema

import "github.com/google/uuid"

// canonicalLength is 8-4-4-4-12 hexadecimal digits with their hyphens.
const canonicalLength = 36

// ParseUUID reads an id as clients write it: canonical form only, in either
// case, any version. The other forms that libraries read (braces, urn:uuid:, no
// hyphens) are refused, and so are nil and max, which name nothing.
func ParseUUID(s string) (uuid.UUID, bool) {
	if len(s) != canonicalLength {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(s)
	if err != nil || id == uuid.Nil || id == uuid.Max {
		return uuid.Nil, false
	}
	return id, true
}
