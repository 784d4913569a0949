package cmd

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"onepg/internal/postgres/pgtest"
)

// The links that a start prints answer, also those to what has another address
// than the API.
func TestTheLinksThatAStartPrintsAnswer(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	for name, flags := range map[string][]string{"one address": nil, "metrics apart": {"--ops-addr", "127.0.0.1:0"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Not the test's context: it ends before Cleanup, and would kill.
			server := exec.CommandContext(context.WithoutCancel(t.Context()), binary, append([]string{"run", "--addr", "127.0.0.1:0", "--log-level", "warn"}, flags...)...)
			server.Dir, server.Env, server.Stderr = t.TempDir(), append(cleanEnvironment(), "APP_DATABASE_URL="+database), t.Output()
			stdout, err := server.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = server.Process.Signal(os.Interrupt)
				if err := server.Wait(); err != nil {
					t.Errorf("the server did not stop cleanly: %v", err)
				}
			})
			link := regexp.MustCompile(`^  (\w+) +(http://\S+)$`)
			answered := 0
			for lines := bufio.NewScanner(stdout); lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C"); {
				found := link.FindStringSubmatch(lines.Text())
				if found == nil || found[1] == "API" { // of which there is no page
					continue
				}
				if got := fetchStatus(t, found[2]); got != http.StatusOK {
					t.Errorf("%s answers %d", lines.Text(), got)
				}
				answered++
			}
			if answered != 6 {
				t.Errorf("%d links were followed, want 6", answered)
			}
		})
	}
}

// fetchStatus gives the status that an address answers with.
func fetchStatus(t *testing.T, address string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // only the status counts
	return response.StatusCode
}
