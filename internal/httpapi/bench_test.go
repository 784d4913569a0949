package httpapi_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"onepg/internal/httpapi"
)

// nobody is a ResponseWriter that costs nothing, so that the edge is measured
// and not a recorder.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header         { return n.header }
func (n *nobody) Write(p []byte) (int, error) { return len(p), nil }
func (n *nobody) WriteHeader(int)             {}

// BenchmarkEdge is what a raw route pays before and after its handler.
func BenchmarkEdge(b *testing.B) {
	api, err := httpapi.New(httpapi.Options{
		Logger: slog.New(slog.DiscardHandler), Clock: time.Now, Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		b.Fatal(err)
	}
	op := httpapi.Operation{ID: "bench", Method: http.MethodPost, Path: "", Scope: "bench:write"}
	api.Group("bench").Raw(op, func(c *gin.Context) error { c.Status(http.StatusNoContent); return nil })
	for name, id := range map[string]string{"id made": "", "id given": "0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"} {
		b.Run(name, func(b *testing.B) {
			req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/bench", http.NoBody)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("User-Agent", "bench")
			if id != "" {
				req.Header.Set("X-Request-ID", id)
			}
			w := &nobody{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				api.Handler().ServeHTTP(w, req)
			}
		})
	}
}
