package bench

import (
	"strconv"
	"strings"
)

// Requests are written by hand with placeholders where each sending differs;
// see [newRequest].
const (
	freshID = "########-####-####-####-############" // becomes a new UUIDv7
	keyMark = "%%%%%%%%"                             // becomes a number of eight digits
	// storedID is the id of a stored user before its number. It is less than any
	// new UUIDv7, so that what a benchmark appends goes to the end of the indexes
	// as it would in a log that grew by itself.
	storedID      = "00000000-0000-7000-8000-0000"
	storedEventID = "00000000-0000-7000-8001-0000"
	// noLimit is all numbers that a keyMark can be.
	noLimit = 100_000_000
)

// newRequest gives an HTTP request and the marks that its placeholders are;
// numbers are drawn from 1 to keys. Headers are whole lines.
func newRequest(method, path, body string, keys int, headers ...string) ([]byte, []mark) {
	lines := append([]string{method + " " + path + " HTTP/1.1", "Host: localhost"}, headers...)
	if body != "" {
		lines = append(lines, "Content-Type: application/json", "Content-Length: "+strconv.Itoa(len(body)))
	}
	text := strings.Join(append(lines, "", body), "\r\n")
	var marks []mark
	for i := range len(text) {
		switch {
		case strings.HasPrefix(text[i:], freshID):
			marks = append(marks, mark{At: i})
		case strings.HasPrefix(text[i:], keyMark):
			marks = append(marks, mark{At: i, Keys: keys})
		}
	}
	return []byte(text), marks
}

// userCreated is an event about a new user, of the size that the README's is.
const userCreated = `{"id":"` + freshID + `","aggregate_id":"` + freshID + `","name":"user.created",` +
	`"payload":{"name":"Ada Lovelace","email":"ada@example.com"}}`

// appendOf is the body that appends so many events.
func appendOf(events int) string {
	if events == 1 {
		return userCreated
	}
	return "[" + strings.Repeat(userCreated+",", events-1) + userCreated + "]"
}
