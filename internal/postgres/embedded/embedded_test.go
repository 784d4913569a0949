package embedded_test

import (
	"testing"
	"time"

	"onepg/internal/postgres/embedded"
)

func TestTry(t *testing.T) {
	t0 := time.Now()
	s, err := embedded.Start(t.Context(), embedded.Options{DataDir: t.TempDir() + "/data", Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(s.URL(), time.Since(t0))
	t0 = time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(t0))
}
