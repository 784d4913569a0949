package eventsourcing

import (
	"database/sql/driver"
	"fmt"
	"strconv"
	"time"
)

// timeLength is that of RFC 3339 with exactly six fractional digits.
const timeLength = len("2006-01-02T15:04:05.000000Z")

// Time is a moment as the log keeps it: in UTC, to the microsecond. It is
// written as RFC 3339 with exactly six fractional digits, so that times sort as
// text and read back equal; time.Time drops trailing zeros.
type Time struct{ time.Time }

// At is the moment as the log would keep it.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Microsecond)} }

// append writes the moment behind b. Why not by a layout with the digits in it:
// the library is three times as fast with RFC 3339's own, and of a GET of one user
// the times were 5 %.
func (t Time) append(b []byte) []byte {
	const second = 1_000_000
	b = t.UTC().AppendFormat(b, time.RFC3339)
	dot := len(b) - len("Z")
	b = strconv.AppendInt(b[:dot], int64(second+t.Nanosecond()/1000), 10) // 1, then six digits
	b[dot] = '.'
	return append(b, 'Z')
}

// MarshalText writes RFC 3339 in UTC with six fractional digits.
func (t Time) MarshalText() ([]byte, error) { return t.append(make([]byte, 0, timeLength)), nil }

// MarshalJSON hides the one of time.Time, which drops trailing zeros.
func (t Time) MarshalJSON() ([]byte, error) {
	return append(t.append(append(make([]byte, 0, timeLength+2), '"')), '"'), nil
}

// String is the moment as it appears in an answer.
func (t Time) String() string { return string(t.append(nil)) }

// Scan reads a timestamptz.
func (t *Time) Scan(src any) error {
	moment, ok := src.(time.Time)
	if !ok {
		return fmt.Errorf("scan %T into a time", src)
	}
	t.Time = moment.UTC()
	return nil
}

// Value writes a timestamptz.
func (t Time) Value() (driver.Value, error) { return t.Time, nil }
