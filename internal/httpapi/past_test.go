package httpapi_test

import (
	"testing"
	"time"

	"onepg/internal/httpapi"
)

func TestAMomentIsAnyTimeOfRFC3339(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"2026-11-21T03:04:05Z":                   time.Date(2026, 11, 21, 3, 4, 5, 0, time.UTC),
		"2026-11-21t03:04:05z":                   time.Date(2026, 11, 21, 3, 4, 5, 0, time.UTC),
		"2026-11-21T03:04:05.123456Z":            time.Date(2026, 11, 21, 3, 4, 5, 123456000, time.UTC),
		"2026-11-21T03:04:05.123456789123+01:30": time.Date(2026, 11, 21, 1, 34, 5, 123456789, time.UTC),
		"2026-11-21T03:04:05-00:00":              time.Date(2026, 11, 21, 3, 4, 5, 0, time.UTC),
		"2016-12-31T23:59:60Z":                   time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC),
		"2016-12-31T23:59:60.5Z":                 time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC),
		"1990-12-31T15:59:60-08:00":              time.Date(1991, 1, 1, 0, 0, 0, 0, time.UTC),
		"0000-01-01T00:00:00Z":                   time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		var m httpapi.Moment
		if err := m.UnmarshalText([]byte(text)); err != nil || !m.Equal(want) {
			t.Errorf("%s: %s (%v)", text, m, err)
		}
	}
	for _, text := range []string{
		"", "2026-11-21", "2026-11-21T03:04:05", "2026-11-21 03:04:05Z", "2026-11-21T03:04:05 01:00", "2026-11-21T03:04:61Z",
		"2026-11-21T03:60:05Z", "2026-02-30T03:04:05Z", "2026-11-21T3:04:05Z", "2026-11-21T03:04:05,5Z", "2026-11-21T24:00:00Z",
		"2026-11-21T03:04:05+24:00", "1700000000", "now",
	} {
		var m httpapi.Moment
		if err := m.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %s", text, m)
		}
	}
}
