package cmd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"onepg/internal/postgres/pgtest"
)

// binary is the program as it is shipped, built once for all tests.
var binary string

// childMode makes the test binary run a command that waits for signals.
const childMode = "CMD_TEST_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(waitForSignals(mode))
	}
	os.Exit(withBinary(m))
}

func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "app")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "app")
	compile := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", binary, "onepg")
	if out, err := compile.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// outcome is what a finished program leaves behind.
type outcome struct {
	code           int
	stdout, stderr string
}

// invoke runs the binary in an empty directory with no APP_* variables but env.
func invoke(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	return invokeIn(t, t.TempDir(), env, args...)
}

func invokeIn(t *testing.T, dir string, env []string, args ...string) outcome {
	t.Helper()
	var stdout, stderr strings.Builder
	c := exec.CommandContext(t.Context(), binary, args...)
	c.Dir, c.Env = dir, append(cleanEnvironment(), env...)
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func cleanEnvironment() []string {
	var clean []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "APP_") {
			clean = append(clean, entry)
		}
	}
	return clean
}

func TestTheExitCodeTellsFailureFromMisuse(t *testing.T) {
	t.Parallel()
	nowhere := []string{"APP_DATABASE_URL=postgres://nobody@127.0.0.1:1/nothing"} // no database is needed to see the mistake
	tests := map[string]struct {
		env    []string
		args   []string
		code   int
		stderr string
	}{
		"no command":            {nil, nil, exitDone, ""},
		"help":                  {nil, []string{"--help"}, exitDone, ""},
		"a group":               {nil, []string{"config"}, exitDone, ""},
		"done":                  {nil, []string{"config", "show"}, exitDone, ""},
		"unknown command":       {nil, []string{"confog"}, exitUsage, `Run "app --help"`},
		"unknown in a group":    {nil, []string{"config", "shaw"}, exitUsage, `Run "app config --help"`},
		"unknown flag":          {nil, []string{"config", "show", "--colour"}, exitUsage, `Run "app config show --help"`},
		"unknown shell":         {nil, []string{"completion", "tcsh"}, exitUsage, `unknown command "tcsh"`},
		"surplus argument":      {nil, []string{"version", "9"}, exitUsage, `Run "app version --help"`},
		"wrong value of a flag": {nil, []string{"version", "--output", "xml"}, exitUsage, "must be table or json"},
		"wrong setting":         {[]string{"APP_POOL_SIZE=ten"}, []string{"config", "show"}, exitUsage, "APP_POOL_SIZE (environment) must be"},
		"mistyped setting":      {[]string{"APP_ADRR=x"}, []string{"config", "show"}, exitUsage, "did you mean APP_ADDR?"},
		"public without keys":   {nil, []string{"config", "show", "--addr", "0.0.0.0:80"}, exitUsage, "with APP_AUTH=none"},
		"wrong database URL":    {[]string{"APP_DATABASE_URL=postgres://h/d?sslmode=x"}, []string{"views", "status"}, exitUsage, "The database URL is not usable"},
		"wrong position":        {nowhere, []string{"events", "list", "--after", "-1"}, exitUsage, "must be a position"},
		"no position":           {nowhere, []string{"events", "tail", "--after", "x"}, exitUsage, "must be a position"},
		"positions crossed":     {nowhere, []string{"events", "export", "--after", "2", "--up-to", "1"}, exitUsage, "--after must not be after --up-to"},
		"wrong aggregate":       {nowhere, []string{"views", "retry", "users", "zz"}, exitUsage, "AGGREGATE_ID must be a UUID"},
		"retry of nothing":      {nowhere, []string{"views", "retry"}, exitUsage, "accepts between 1 and 2 arg(s)"},
		"wrong migration":       {nowhere, []string{"migrate", "create", "Bad-Name"}, exitUsage, "lower-case letters"},
		"wrong scope":           {nowhere, []string{"keys", "create", "--name", "web", "--scope", "bogus"}, exitUsage, "There are: "},
		"wrong benchmark":       {nowhere, []string{"bench", "--only", "nope"}, exitUsage, "there are append, "},
		"no rounds":             {nowhere, []string{"bench", "--rounds", "0"}, exitUsage, "must be more than zero"},
		"no connections":        {nowhere, []string{"bench", "--connections", "8,0"}, exitUsage, "must be more than zero"},
		"nothing to bench":      {nil, []string{"bench", "--use-database"}, exitUsage, "There is no APP_DATABASE_URL"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := invoke(t, test.env, test.args...)
			if got.code != test.code || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("exit %d, want %d; standard error, want %q:\n%s", got.code, test.code, test.stderr, got.stderr)
			}
			if test.code == exitDone && got.stderr != "" || test.code != exitDone && got.stdout != "" {
				t.Errorf("misplaced output, stdout:\n%s\nstderr:\n%s", got.stdout, got.stderr)
			}
			if strings.Contains(got.stderr, "goroutine") || strings.Contains(got.stderr, "Usage:") {
				t.Errorf("a failure dumps a stack or the usage:\n%s", got.stderr)
			}
		})
	}
}

func TestACommandThatFailsExitsWithOne(t *testing.T) {
	t.Parallel()
	root := newRoot()
	root.AddCommand(&cobra.Command{Use: "fail", RunE: func(*cobra.Command, []string) error {
		return fmt.Errorf("fetch: %w", io.ErrUnexpectedEOF)
	}})
	var stderr strings.Builder
	root.SetErr(&stderr)
	root.SetArgs([]string{"fail"})
	if code := execute(t.Context(), root); code != exitFailure || stderr.String() != "app: fetch: unexpected EOF\n" {
		t.Errorf("exit %d, printed %q", code, stderr.String())
	}
}

// A database that refuses is not one that is busy: trying again does not help.
func TestWhatADatabaseRefusesIsSaidWithWhatToDo(t *testing.T) {
	t.Parallel()
	known, err := url.Parse(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, stranger := *known, *known
	elsewhere.Path = "/nowhere"
	stranger.User = url.User("nobody")
	for want, address := range map[string]url.URL{
		"The database does not exist. Create it, or correct APP_DATABASE_URL": elsewhere,
		"Correct the user or the password in APP_DATABASE_URL":                stranger,
	} {
		got := appOn(t, address.String())("views", "status")
		if got.code != exitFailure || !strings.Contains(got.stderr, want) || strings.Contains(got.stderr, "try again") {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}

func TestHelpAndVersionWorkWithBrokenSettings(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"--help"}, {"completion", "bash"}, {"help", "config"}} {
		if got := invoke(t, []string{"APP_ADDR=nonsense"}, args...); got.code != exitDone {
			t.Errorf("app %v: exit %d\n%s", args, got.code, got.stderr)
		}
	}
}

func TestEveryCommandExplainsItselfWithExamples(t *testing.T) {
	t.Parallel()
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Long == "" || c.Short == "" || c.Example == "" {
			t.Errorf("%q lacks a short text, a long text or examples", c.CommandPath())
		}
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit(newRoot())
}

func TestCompletionKnowsCommandsAndValues(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := invoke(t, nil, "completion", shell); got.code != exitDone || !strings.Contains(got.stdout, "app") {
			t.Errorf("completion %s: exit %d\n%s", shell, got.code, got.stderr)
		}
	}
	if got := invoke(t, nil, "__complete", "config", ""); !strings.Contains(got.stdout, "show") {
		t.Errorf("config completes to %s", got.stdout)
	}
	if got := invoke(t, nil, "__complete", "version", "--output", ""); !strings.Contains(got.stdout, "json") {
		t.Errorf("--output completes to %s", got.stdout)
	}
}

// waitForSignals is the body of the child process: a command that ends when its
// context does, or, in the mode "stubborn", never.
func waitForSignals(mode string) int {
	root := newRoot()
	root.AddCommand(&cobra.Command{Use: "wait", RunE: func(c *cobra.Command, _ []string) error {
		fmt.Fprintln(os.Stdout, "waiting")
		<-c.Context().Done()
		fmt.Fprintln(os.Stdout, "cancelled")
		if mode == "stubborn" {
			select {}
		}
		return nil
	}})
	root.SetArgs([]string{"wait"})
	return run(root)
}

func startChild(t *testing.T, mode string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), childMode+"="+mode)
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	expect(t, lines, "waiting")
	return child, lines
}

func expect(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() || lines.Text() != want {
		t.Fatalf("the child printed %q, want %q", lines.Text(), want)
	}
}

func TestTheFirstSignalLetsTheCommandFinish(t *testing.T) {
	t.Parallel()
	for _, sent := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		child, lines := startChild(t, "polite")
		if err := child.Process.Signal(sent); err != nil {
			t.Fatal(err)
		}
		expect(t, lines, "cancelled")
		if err := child.Wait(); err != nil {
			t.Errorf("after %s: %v, want a clean exit", sent, err)
		}
	}
}

func TestTheSecondSignalEndsAStubbornCommand(t *testing.T) {
	t.Parallel()
	child, lines := startChild(t, "stubborn")
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "cancelled")
	// The handler is taken away beside the command's own wake-up, so the
	// second signal is repeated until it has met the default one.
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = child.Wait() // how it ended is read from its state
	}()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-done:
			status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
			if !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
				t.Errorf("ended with %v, want it killed by SIGTERM", child.ProcessState)
			}
			return
		case <-again.C:
			_ = child.Process.Signal(syscall.SIGTERM) // it may have ended by now
		}
	}
}
