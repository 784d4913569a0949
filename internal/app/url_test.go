package app_test

import (
	"net/http"
	"strings"
	"testing"
)

// A browser opens what is printed, also where the program listens on every address.
func TestTheAddressThatIsPrintedCanBeOpened(t *testing.T) {
	t.Parallel()
	a := start(t, "--auth=keys", "--addr=0.0.0.0:0")
	if !strings.HasPrefix(a.url, "http://localhost:") {
		t.Errorf("printed is %s", a.url)
	}
	if got := a.do(http.MethodGet, "/livez", ""); got.status != http.StatusOK {
		t.Errorf("%d: %s", got.status, got.body)
	}
}
