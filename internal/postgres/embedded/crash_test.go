package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"onepg/internal/postgres/embedded"
)

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestAServerOutlivesItsKilledStarter(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	starter := start(t, "watched-user", dir)
	eventually(t, "the watcher is at work", func() bool { return busy(t, dir, "watch.lock") })
	joined := startServer(t, fast(dir))
	before, err := startOf(joined.URL())
	must(t, err)
	starter.kill()
	if after, err := startOf(joined.URL()); err != nil || after != before {
		t.Fatalf("the joiner lost its server: %s, %v", after, err)
	}
	must(t, joined.Close())
	if busy(t, dir, "server.lock") {
		t.Error("the last one left and the server runs")
	}
	eventually(t, "the watcher ends with the server", func() bool { return !busy(t, dir, "watch.lock") })
}

func TestTheWatcherStopsTheServerWhenItsLastUserIsKilled(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := start(t, "watched-user", dir)
	eventually(t, "the watcher is at work", func() bool { return busy(t, dir, "watch.lock") })
	second := start(t, "watched-user", dir)
	first.kill()
	if _, err := startOf(second.url); err != nil {
		t.Fatalf("a user lost its server: %v", err)
	}
	second.kill()
	eventually(t, "the server is stopped", func() bool { return !busy(t, dir, "server.lock") })
	eventually(t, "the watcher ends", func() bool { return !busy(t, dir, "watch.lock") })
}

func TestAServerWithoutUsersIsJoined(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	starter := start(t, "user", dir)
	before, err := startOf(starter.url)
	must(t, err)
	starter.kill()
	if after, err := startOf(startServer(t, fast(dir)).URL()); err != nil || after != before {
		t.Errorf("the server was lost or replaced: %s, %v", after, err)
	}
}

func TestAWatcherEndsWhenTheServerIsStoppedByOthers(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	server := startServer(t, fast(dir))
	done := make(chan error, 1)
	go func() { done <- embedded.Watch(t.Context(), dir) }()
	eventually(t, "the watcher is at work", func() bool { return busy(t, dir, "watch.lock") })
	must(t, embedded.Watch(t.Context(), dir)) // A second watcher has nothing to do.
	must(t, syscall.Kill(postmaster(t, dir), syscall.SIGINT))
	must(t, <-done)
	must(t, server.Close())
}

func TestTheServerStartsAgainAfterKill9(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	server := startServer(t, fast(dir))
	before, err := startOf(server.URL())
	must(t, err)
	must(t, syscall.Kill(postmaster(t, dir), syscall.SIGKILL))
	again := startServer(t, fast(dir))
	if after, err := startOf(again.URL()); err != nil || after == before {
		t.Errorf("no new server: %s, %v", after, err)
	}
}

func TestSuperviseBringsAKilledServerBack(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	server := startServer(t, fast(dir))
	before, err := startOf(server.URL())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Supervise(ctx) }()
	must(t, syscall.Kill(postmaster(t, dir), syscall.SIGKILL))
	eventually(t, "a new server answers at the same URL", func() bool {
		after, err := startOf(server.URL())
		return err == nil && after != before
	})
	must(t, server.Close())
	if busy(t, dir, "server.lock") {
		t.Error("the server runs on")
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAReusedProcessIDDoesNotKeepTheServerFromStarting(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	server := startServer(t, fast(dir))
	text, err := os.ReadFile(filepath.Join(dir, "pgdata", "postmaster.pid"))
	must(t, err)
	must(t, server.Close())

	// Another process of the same user now has the number in postmaster.pid and
	// in the socket's lock file, as after a reboot.
	bystander := exec.CommandContext(t.Context(), "sleep", "600")
	bystander.SysProcAttr = asOwner(t, filepath.Join(dir, "pgdata"))
	must(t, bystander.Start())
	t.Cleanup((&process{Cmd: bystander}).kill)
	_, rest, _ := strings.Cut(string(text), "\n")
	stale := fmt.Sprintf("%d\n%s", bystander.Process.Pid, rest)
	must(t, os.WriteFile(filepath.Join(dir, "pgdata", "postmaster.pid"), []byte(stale), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "run"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "run", ".s.PGSQL.5432.lock"), []byte(stale), 0o600))

	again := startServer(t, fast(dir))
	if _, err := startOf(again.URL()); err != nil {
		t.Error(err)
	}
	must(t, again.Close())
	if !alive(bystander.Process.Pid) {
		t.Error("the other process was hit")
	}
}

func TestAServerStartedByHandIsNotFought(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	must(t, startServer(t, fast(dir)).Close())
	binaries, err := embedded.FindBinaries(t.Context(), "")
	must(t, err)
	pgdata := filepath.Join(dir, "pgdata")
	// A server started by hand has no capability to get through root's directory.
	must(t, os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o711))
	byHand := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(binaries.Dir, "postgres"),
		"-D", pgdata, "-c", "listen_addresses=", "-c", "unix_socket_directories="+pgdata)
	byHand.SysProcAttr = asOwner(t, pgdata)
	must(t, byHand.Start())
	t.Cleanup(func() {
		must(t, byHand.Process.Signal(syscall.SIGINT))
		must(t, byHand.Wait())
	})
	eventually(t, "it runs", func() bool {
		text, err := os.ReadFile(filepath.Join(pgdata, "postmaster.pid"))
		return err == nil && strings.Contains(string(text), "ready")
	})
	_, err = embedded.Start(t.Context(), fast(dir))
	if err == nil || !strings.Contains(err.Error(), "pg_ctl stop") {
		t.Errorf("got %v", err)
	}
	if !alive(byHand.Process.Pid) {
		t.Error("the server was stopped")
	}
}

func TestAnInterruptedInitdbIsDoneAgain(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	victim := command(t, "user", dir)
	must(t, victim.Start())
	leftovers := filepath.Join(dir, "pgdata.init-*")
	eventually(t, "initdb is at work", func() bool {
		files, err := filepath.Glob(filepath.Join(leftovers, "base"))
		return err == nil && len(files) == 1
	})
	victim.kill()
	if _, err := os.Stat(filepath.Join(dir, "pgdata")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("it was too late to interrupt: %v", err)
	}
	server := startServer(t, fast(dir))
	query(t, server.URL(), "SELECT 1")
	if files, err := filepath.Glob(leftovers); err != nil || len(files) != 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}
