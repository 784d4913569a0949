//go:build client

package cmd

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// newPackage writes the client as a user would, into a folder from which scripts
// import it by its name.
func newPackage(t *testing.T, script string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if got := invokeIn(t, folder, nil, "client", "typescript", "--out", "node_modules/onepg-client"); got.code != exitDone {
		t.Fatalf("exit %d\n%s", got.code, got.stderr)
	}
	text, err := os.ReadFile("testdata/client/" + script)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{script: text, "package.json": []byte(`{"type":"module"}`)} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestClientTypesHold compiles correct uses of the client, and wrong ones that
// must each be an error.
func TestClientTypesHold(t *testing.T) {
	t.Parallel()
	folder := newPackage(t, "compile.ts")
	compiler := os.Getenv("TSC")
	if compiler == "" {
		t.Fatal("TSC does not name the compiler; make test-client does")
	}
	tsc := exec.CommandContext(t.Context(), compiler, "--strict", "--noEmit", "--target", "es2022",
		"--module", "nodenext", "--lib", "es2022,dom", "--types", "", "compile.ts")
	tsc.Dir = folder
	if out, err := tsc.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestClientSurvivesARestart runs a program that uses the client in Node while
// its server is killed and started again.
func TestClientSurvivesARestart(t *testing.T) {
	t.Parallel()
	data, folder := t.TempDir(), newPackage(t, "restart.mjs")
	running := startServer(t, data)
	address := strings.TrimPrefix(running.url, "http://")
	node := exec.CommandContext(t.Context(), "node", "restart.mjs", running.url)
	node.Dir, node.Stderr = folder, t.Output()
	stdout, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		said += lines.Text() + " "
		switch lines.Text() {
		case "kill":
			if err := running.process.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = running.process.Wait() // it was killed
			running = startServerAt(t, data, address)
		case "stop":
			running.stop(t)
		}
	}
	if err := node.Wait(); err != nil {
		t.Errorf("the program failed: %v", err)
	}
	if said != "kill stop done " {
		t.Errorf("the program came to: %s", said)
	}
}
