package postgres_test

import (
	"testing"

	"onepg/internal/fault"
)

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	f, ok := fault.Of(err)
	if !ok || f.Kind != fault.Unavailable || f.Code != "unavailable" || f.RetryAfter <= 0 {
		t.Errorf("got %v, want unavailable with advice when to retry", err)
	}
}
