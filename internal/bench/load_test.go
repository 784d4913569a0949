package bench

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestALoadThatCountsSendsEachNumberOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := make(map[string]int)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path]++
	}))
	t.Cleanup(server.Close)
	request, marks := newRequest(http.MethodGet, "/"+keyMark, "", noLimit)
	result, err := load{
		Address: strings.TrimPrefix(server.URL, "http://"), Connections: 4, Request: request, Marks: marks,
		Status: http.StatusOK, Duration: time.Millisecond, First: 1000, Count: 50,
	}.run(t.Context())
	if err != nil || result.Requests != 50 {
		t.Fatalf("%d requests, %v", result.Requests, err)
	}
	if len(seen) != 50 || seen["/00001001"] != 1 || seen["/00001050"] != 1 {
		t.Errorf("seen were %v", seen)
	}
}
