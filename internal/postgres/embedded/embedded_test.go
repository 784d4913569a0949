package embedded_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"onepg/internal/fault"
	"onepg/internal/postgres/embedded"
)

func TestTheClusterIsDurablePrivateAndKnowsUnicode(t *testing.T) {
	t.Parallel()
	server := startServer(t, embedded.Options{DataDir: dataDir(t)})
	for question, want := range map[string]string{
		"SHOW fsync":                "on",
		"SHOW synchronous_commit":   "on",
		"SHOW full_page_writes":     "on",
		"SHOW data_checksums":       "on",
		"SHOW listen_addresses":     "",
		"SHOW server_encoding":      "UTF8",
		"SHOW timezone":             "UTC",
		"SHOW lc_collate":           "C",
		"SELECT lower('ÄÖ')":        "äö",
		"SELECT current_database()": "onepg",
		"SELECT string_agg(x, '') FROM (SELECT x FROM unnest(ARRAY['b','a','B']) x ORDER BY x) s": "Bab",
	} {
		if got := query(t, server.URL(), question); got != want {
			t.Errorf("%s: got %q, want %q", question, got, want)
		}
	}
}

func TestCloseLeavesNoProcessAndNoSocket(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	server := startServer(t, fast(dir))
	pid, socket := postmaster(t, dir), socketOf(t, server.URL())
	if _, err := os.Stat(socket); err != nil {
		t.Fatal(err)
	}
	must(t, server.Close())
	if busy(t, dir, "server.lock") {
		t.Error("a process of the server is alive")
	}
	if alive(pid) {
		t.Errorf("process %d is alive, or a zombie", pid)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	must(t, server.Close()) // A second time is harmless.
}

func TestDataIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	server := startServer(t, fast(dir))
	execute(t, server.URL(), "CREATE TABLE kept AS SELECT 42 AS n")
	must(t, server.Close())
	if got := query(t, startServer(t, fast(dir)).URL(), "SELECT n FROM kept"); got != "42" {
		t.Errorf("got %s", got)
	}
}

func TestProcessesThatStartTogetherShareOneServer(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	const users = 5
	processes := make([]*process, users)
	var group sync.WaitGroup
	for i := range users {
		group.Go(func() { processes[i] = start(t, "user", dir) })
	}
	group.Wait()
	if t.Failed() {
		return
	}
	first, err := startOf(processes[0].url)
	must(t, err)
	for _, p := range processes[:users-1] {
		p.leave(t)
		if got, err := startOf(processes[users-1].url); err != nil || got != first {
			t.Fatalf("the server was lost or replaced: %s, %v", got, err)
		}
	}
	processes[users-1].leave(t)
	if busy(t, dir, "server.lock") {
		t.Error("the last one left and the server runs")
	}
}

func TestJoinersNeverMeetAServerThatIsStopping(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	processes := make([]*process, 4)
	for i := range processes {
		processes[i] = command(t, "churn", dir)
		must(t, processes[i].Start())
	}
	for _, p := range processes {
		if err := p.Wait(); err != nil {
			t.Errorf("a process lost its server: %v", err)
		}
	}
	if busy(t, dir, "server.lock") {
		t.Error("everybody left and the server runs")
	}
}

func TestStartCancelledLeavesNoServer(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	options := fast(dir)
	options.Settings["pre_auth_delay"] = "2" // It runs, and does not answer yet.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		eventually(t, "the server is launched", func() bool { return exists(filepath.Join(dir, "run", ".s.PGSQL.5432")) })
		cancel()
	}()
	_, err := embedded.Start(ctx, options)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if busy(t, dir, "server.lock") {
		t.Error("the server runs on")
	}
}

func TestStopRefusesWhileTheServerIsUsed(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	must(t, embedded.Stop(t.Context(), filepath.Join(dir, "nothing"))) // Nothing there is nothing to stop.
	user := start(t, "user", dir)
	if err := embedded.Stop(t.Context(), dir); !fault.Is(err, "postgres-in-use") {
		t.Fatalf("got %v", err)
	}
	user.kill()
	must(t, embedded.Stop(t.Context(), dir))
	if busy(t, dir, "server.lock") {
		t.Error("the server runs on")
	}
}

func TestAFailedStartShowsTheEndOfTheLog(t *testing.T) {
	t.Parallel()
	options := fast(dataDir(t))
	options.Settings["shared_buffers"] = "plenty"
	_, err := embedded.Start(t.Context(), options)
	if !fault.Is(err, "postgres-start") || !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers": "plenty"`) {
		t.Errorf("got %v", err)
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func socketOf(t *testing.T, raw string) string {
	t.Helper()
	parsed, err := url.Parse(raw)
	must(t, err)
	return parsed.Query().Get("host")
}
