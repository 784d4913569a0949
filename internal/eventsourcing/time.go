package eventsourcing

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// timeLayout is RFC 3339 with exactly six fractional digits.
const timeLayout = "2006-01-02T15:04:05.000000Z07:00"

// Time is a moment as the log keeps it: in UTC, to the microsecond. It is
// written as RFC 3339 with exactly six fractional digits, so that times sort as
// text and read back equal; time.Time drops trailing zeros.
type Time struct{ time.Time }

// At is the moment as the log would keep it.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Microsecond)} }

// MarshalText writes RFC 3339 in UTC with six fractional digits.
func (t Time) MarshalText() ([]byte, error) {
	return t.UTC().AppendFormat(nil, timeLayout), nil
}

// MarshalJSON hides the one of time.Time, which drops trailing zeros.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(make([]byte, 0, len(timeLayout)+2), `"`+timeLayout+`"`), nil
}

// String is the moment as it appears in an answer.
func (t Time) String() string { return t.UTC().Format(timeLayout) }

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
