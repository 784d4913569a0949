package auth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"onepg/internal/auth"
)

// What a request costs whose credential is remembered: this is on the way of
// every append.
func BenchmarkAuthorize(b *testing.B) {
	guard := auth.New(auth.Options{Verifier: &names{}, Rate: 1_000_000, Burst: 1_000_000_000, Clock: time.Now})
	request := httptest.NewRequest(http.MethodPost, "/v1/users/events", nil)
	request.Header.Set("Authorization", "Bearer ok_YK6TMOUIL7NRA4MSB32GNJIQ2T")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := guard.Authorize(request, "users:read"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
