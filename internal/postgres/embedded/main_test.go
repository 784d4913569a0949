package embedded_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/uptrace/bun/driver/pgdriver"
	"go.uber.org/goleak"

	"onepg/internal/postgres/embedded"
)

// TestMain plays the processes that the tests start: the test binary runs
// itself with one of the roles below as its first argument.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 {
		goleak.VerifyTestMain(m)
	}
	dir := os.Args[len(os.Args)-1]
	var err error
	switch os.Args[1] {
	case "user":
		err = use(dir, nil)
	case "watched-user":
		err = use(dir, []string{os.Args[0], "watcher"})
	case "watcher":
		err = embedded.Watch(context.Background(), dir)
	case "churn":
		err = churn(dir)
	default:
		goleak.VerifyTestMain(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// dataDir names a data directory that does not exist yet.
func dataDir(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "data")
}

// use prints the URL of the server and leaves when its input ends.
func use(dir string, watcher []string) error {
	options := fast(dir)
	options.Watcher = watcher
	server, err := embedded.Start(context.Background(), options)
	if err != nil {
		return err
	}
	fmt.Println(server.URL())
	if _, err = io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return server.Close()
}

// churn joins and leaves over and over, and fails if it meets a server that
// goes away while it is in use.
func churn(dir string) error {
	for range 8 {
		server, err := embedded.Start(context.Background(), fast(dir))
		if err != nil {
			return err
		}
		for range 3 {
			if _, err = startOf(server.URL()); err != nil {
				return err
			}
		}
		if err = server.Close(); err != nil {
			return err
		}
	}
	return nil
}

// fast are options for a cluster that need not survive the machine.
func fast(dir string) embedded.Options {
	return embedded.Options{DataDir: dir, Settings: map[string]string{"fsync": "off"}}
}

// A process is a test binary in one of its roles.
type process struct {
	*exec.Cmd
	url   string
	stdin io.Closer
}

// start starts a process that uses the cluster, and returns when it does.
func start(t *testing.T, role, dir string) *process {
	t.Helper()
	p := command(t, role, dir)
	stdin, err := p.StdinPipe()
	must(t, err)
	stdout, err := p.StdoutPipe()
	must(t, err)
	must(t, p.Start())
	t.Cleanup(p.kill)
	p.stdin = stdin
	p.url, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s did not start: %v", role, err)
	}
	p.url = strings.TrimSpace(p.url)
	return p
}

func command(t *testing.T, role, dir string) *process {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, role, dir)
	cmd.Stderr = os.Stderr
	return &process{Cmd: cmd}
}

// leave lets the process close the server and end.
func (p *process) leave(t *testing.T) {
	t.Helper()
	must(t, p.stdin.Close())
	must(t, p.Wait())
}

// kill ends the process as kill -9 does. Killing it again is harmless.
func (p *process) kill() {
	_ = p.Process.Kill() // It may have ended before.
	_ = p.Wait()         // It says that it was killed.
}

// startServer starts a server that is closed, and must be gone, after the test.
func startServer(t *testing.T, options embedded.Options) *embedded.Server {
	t.Helper()
	server, err := embedded.Start(t.Context(), options)
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	return server
}

// query gives the one value of a query's one row.
func query(t *testing.T, url, text string) string {
	t.Helper()
	value, err := ask(url, text)
	must(t, err)
	return value
}

func ask(url, text string) (string, error) {
	db := sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(url)))
	defer db.Close()
	var value string
	err := db.QueryRowContext(context.Background(), text).Scan(&value)
	return value, err
}

func execute(t *testing.T, url, text string) {
	t.Helper()
	db := sql.OpenDB(pgdriver.NewConnector(pgdriver.WithDSN(url)))
	defer db.Close()
	_, err := db.ExecContext(t.Context(), text)
	must(t, err)
}

// startOf tells one run of a server from the next.
func startOf(url string) (string, error) {
	return ask(url, "SELECT pg_postmaster_start_time()::text")
}

func postmaster(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "pgdata", "postmaster.pid"))
	must(t, err)
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	must(t, err)
	return pid
}

// busy reports whether a process holds the lock of that name.
func busy(t *testing.T, dir, name string) bool {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	must(t, err)
	defer file.Close()
	return syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		case <-ticker.C:
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
