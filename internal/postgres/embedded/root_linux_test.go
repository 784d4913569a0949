package embedded_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestForRootTheServerGetsNoMoreThanItNeeds runs as root only: others start the
// server as themselves, and there is nothing to give.
func TestForRootTheServerGetsNoMoreThanItNeeds(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	for name, test := range map[string]struct {
		parent       os.FileMode
		capabilities string
	}{
		"a directory anybody can reach": {0o711, "0000000000000000"},
		"a directory of root's alone":   {0o700, "0000000000000002"}, // CAP_DAC_OVERRIDE
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := filepath.Join(t.TempDir(), "project")
			must(t, os.Mkdir(parent, 0o700))
			for _, dir := range []string{parent, filepath.Dir(parent), filepath.Dir(filepath.Dir(parent))} {
				must(t, os.Chmod(dir, test.parent))
			}
			dir := filepath.Join(parent, ".data")
			server := startServer(t, fast(dir)) // With initdb, which needs the same.
			query(t, server.URL(), "SELECT 1")
			status := status(t, postmaster(t, dir))
			if strings.HasPrefix(status["Uid"], "0") {
				t.Error("the server runs as root")
			}
			for _, set := range []string{"CapPrm", "CapEff", "CapAmb"} {
				if status[set] != test.capabilities {
					t.Errorf("%s is %s, want %s", set, status[set], test.capabilities)
				}
			}
		})
	}
}

// status gives what the kernel says about a process.
func status(t *testing.T, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		values[name] = strings.TrimSpace(value)
	}
	return values
}
