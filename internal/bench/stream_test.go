package bench

import (
	"testing"
	"time"
)

func TestTheTimeOfTheFirstWholeEventIsFound(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 11, 21, 3, 4, 5, 123456000, time.UTC)
	const event = "id: 7\nevent: user.created\ndata: {\"recorded_at\":\"2026-11-21T03:04:05.123456Z\"}\n\n"
	if got, ok := recordedAt([]byte(event + "id: 8\ndata: {\"recorded_at\":\"2027")); !ok || !got.Equal(want) {
		t.Errorf("got %v, %v", got, ok)
	}
	for _, piece := range []string{"", ": heartbeat\n\n", event[:60]} {
		if got, ok := recordedAt([]byte(piece)); ok {
			t.Errorf("%q has the time %v", piece, got)
		}
	}
}
