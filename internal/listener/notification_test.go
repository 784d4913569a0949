package listener_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/listener"
)

const (
	anEvent      = "0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"
	anAggregate  = "0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01"
	validPayload = anEvent + ",42," + anAggregate
)

func TestParseNotificationReadsWhatTheTriggerWrites(t *testing.T) {
	t.Parallel()
	got, err := listener.ParseNotification(validPayload)
	if err != nil {
		t.Fatal(err)
	}
	want := listener.Notification{
		EventID: uuid.MustParse(anEvent), Position: 42, AggregateID: uuid.MustParse(anAggregate),
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParseNotificationRefusesAnythingElse(t *testing.T) {
	t.Parallel()
	const nilID, maxID = "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"
	for name, payload := range map[string]string{
		"empty":                 "",
		"commas only":           ",,",
		"two fields":            anEvent + ",42",
		"four fields":           validPayload + ",",
		"position zero":         anEvent + ",0," + anAggregate,
		"position negative":     anEvent + ",-1," + anAggregate,
		"position with sign":    anEvent + ",+42," + anAggregate,
		"leading zero":          anEvent + ",042," + anAggregate,
		"position too large":    anEvent + ",9223372036854775808," + anAggregate,
		"position not a number": anEvent + ",x," + anAggregate,
		"space":                 anEvent + ", 42," + anAggregate,
		"newline":               validPayload + "\n",
		"upper case":            strings.ToUpper(anEvent) + ",42," + anAggregate,
		"braces":                "{" + anEvent + "},42," + anAggregate,
		"urn":                   "urn:uuid:" + anEvent + ",42," + anAggregate,
		"no hyphens":            strings.ReplaceAll(anEvent, "-", "") + ",42," + anAggregate,
		"nil event":             nilID + ",42," + anAggregate,
		"max event":             maxID + ",42," + anAggregate,
		"nil aggregate":         anEvent + ",42," + nilID,
		"max aggregate":         anEvent + ",42," + maxID,
		"invalid UTF-8":         "\xff\xfe," + anAggregate,
		"longest payload":       strings.Repeat(",", 7999),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if n, err := listener.ParseNotification(payload); err == nil {
				t.Errorf("accepted as %+v", n)
			}
		})
	}
}

func FuzzParseNotification(f *testing.F) {
	f.Add(validPayload)
	f.Add(anEvent + ",9223372036854775807," + anAggregate)
	f.Fuzz(func(t *testing.T, payload string) {
		n, err := listener.ParseNotification(payload)
		if err != nil {
			return
		}
		if n.String() != payload {
			t.Errorf("accepted %q, which would be written as %q", payload, n)
		}
		if n.Position < 1 || n.EventID == uuid.Nil || n.AggregateID == uuid.Nil {
			t.Errorf("accepted an impossible event %+v", n)
		}
	})
}
