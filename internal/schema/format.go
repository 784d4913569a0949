package schema

import (
	"net/mail"
	"strings"
	"time"
)

// maxEmail is the most bytes an address can have that SMTP transports: a path
// of 256 (RFC 5321, section 4.5.3.1.3) without its angle brackets.
const maxEmail = 254

// checkText gives what is wrong with a text of the format, or "". The formats
// it knows are the ones that checkFormat lets through.
func checkText(format, s string) string {
	switch format {
	case "email":
		if !isEmail(s) {
			return "must be an email address"
		}
	case "uuid":
		if _, ok := ParseUUID(s); !ok {
			return "must be a UUID in canonical form, neither nil nor max"
		}
	case "date":
		if t, err := time.Parse(time.DateOnly, s); err != nil || t.Year() < 1 {
			return "must be a date as 2006-01-31"
		}
	case "date-time":
		if !isTime(s) {
			return "must be a time as 2006-01-31T15:04:05Z (RFC 3339)"
		}
	}
	return ""
}

// isTime accepts the date-time of RFC 3339. time.Parse alone also takes an hour
// of one digit, a comma before the fraction, offsets up to 24:60, and the year
// 0, which PostgreSQL does not know.
func isTime(s string) bool {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1 || s[len("2006-01-02T15")] != ':' || strings.Contains(s, ",") {
		return false
	}
	offset := s[len(s)-len("07:00"):]
	return strings.HasSuffix(s, "Z") || offset < "24" && offset[len("07:")] < '6'
}

// isEmail accepts the addr-spec of RFC 5322 and nothing around it: no display
// name, angle brackets, comment or white space.
func isEmail(s string) bool {
	if len(s) > maxEmail {
		return false
	}
	address, err := mail.ParseAddress(s)
	if err != nil || address.Name != "" {
		return false
	}
	// A quoted local part is parsed to its content; String quotes it again.
	return address.Address == s || address.String() == "<"+s+">"
}
