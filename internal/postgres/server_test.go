package postgres_test

import (
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"onepg/internal/fault"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a private cluster that a test may stop and kill.
type server struct {
	dir, bin string
	account  *syscall.Credential // nil unless we are root, which postgres refuses
	cmd      *osexec.Cmd
}

func newServer(t *testing.T) *server {
	t.Helper()
	bin, err := osexec.CommandContext(t.Context(), "pg_config", "--bindir").Output()
	if err != nil {
		t.Fatalf("this test needs PostgreSQL's programs: %v", err)
	}
	// Not t.TempDir: the path of a Unix socket may have 107 bytes only.
	dir, err := os.MkdirTemp("/tmp", "onepg-server-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: dir, bin: strings.TrimSpace(string(bin))}
	t.Cleanup(func() {
		s.stop(t, syscall.SIGQUIT)
		_ = os.RemoveAll(dir)
	})
	if os.Geteuid() == 0 {
		s.account = postgresAccount(t)
		if err := os.Chown(dir, int(s.account.Uid), int(s.account.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := s.command("initdb", "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "trust", "-N").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.start(t)
	return s
}

func postgresAccount(t *testing.T) *syscall.Credential {
	t.Helper()
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if uidErr != nil || gidErr != nil {
		t.Fatal(uidErr, gidErr)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (s *server) command(name string, args ...string) *osexec.Cmd {
	cmd := osexec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
	return cmd
}

func (s *server) start(t *testing.T) {
	t.Helper()
	s.cmd = s.command("postgres", "-D", filepath.Join(s.dir, "data"), "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "unix_socket_directories="+s.dir, "-c", "max_connections=5", "-c", "superuser_reserved_connections=0")
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server is up", func() bool {
		db, err := postgres.Open(t.Context(), postgres.Options{URL: s.url()})
		if err != nil {
			return false
		}
		return db.Close() == nil
	})
}

func (s *server) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(signal); err != nil {
		t.Error(err)
	}
	_ = s.cmd.Wait()
	s.cmd = nil
}

func (s *server) url() string { return "postgres://postgres@/postgres?host=" + s.dir }

func TestARestartedServerCostsIdleConnectionsNoRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	db := open(t, postgres.Options{URL: s.url(), MaxConns: 4})
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		fillPool(t, db, 4)
		s.stop(t, signal)
		_, err := postgres.Acquire(t.Context(), db, 0)
		wantUnavailable(t, err)
		if postgres.OutcomeUnknown(err) {
			t.Errorf("nothing was sent: %v", err)
		}
		s.start(t)
	}
	fillPool(t, db, 4)
	s.stop(t, syscall.SIGINT)
	s.start(t)
	for range 8 {
		exec(t, db, "SELECT 1")
	}
}

func TestWhatPostgreSQLRefusesByNameIsNotAMatterOfTrying(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	exec(t, open(t, postgres.Options{URL: s.url()}), "CREATE ROLE guest LOGIN PASSWORD 'right'")
	rules := "local all guest scram-sha-256\nlocal all locked reject\nlocal all all trust\n"
	if err := os.WriteFile(filepath.Join(s.dir, "data", "pg_hba.conf"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	s.stop(t, syscall.SIGINT)
	s.start(t)
	open(t, postgres.Options{URL: "postgres://guest:right@/postgres?host=" + s.dir})
	for address, state := range map[string]string{
		"guest:wrong@/postgres": "28P01", "nobody@/postgres": "28000", "locked@/postgres": "28000", "postgres@/nowhere": "3D000",
	} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: "postgres://" + address + "?host=" + s.dir})
		if !fault.Is(err, "database-refused") || postgres.SQLState(err) != state || !strings.Contains(err.Error(), "APP_DATABASE_URL") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAServerOutOfConnectionsIsUnavailable(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	greedy := open(t, postgres.Options{URL: s.url(), MaxConns: 6})
	for range 5 {
		conn, err := postgres.Acquire(t.Context(), greedy, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() // the test is over
	}
	_, err := postgres.Acquire(t.Context(), greedy, 0)
	wantUnavailable(t, err)
	if postgres.SQLState(err) != "53300" {
		t.Errorf("got %v", err)
	}
}

func TestTLSIsUsedWhereItIsOfferedAndDemandedWhereTheURLSays(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	plain, secure := newProxy(t, url, &proxy{}), newProxy(t, url, &proxy{tls: selfSigned(t)})
	for _, usable := range []string{plain, plain + "?sslmode=disable", secure, secure + "?sslmode=require"} {
		db := open(t, postgres.Options{URL: usable, MaxConns: 2})
		fillPool(t, db, 2)
		if before := value(t, db, "SELECT pg_backend_pid()"); db.Stats().OpenConnections != 2 || before == "" {
			t.Errorf("%s: healthy idle connections were thrown away: %+v", usable, db.Stats())
		}
	}
	for _, refused := range []string{plain + "?sslmode=require", secure + "?sslmode=verify-full"} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: refused})
		wantUnavailable(t, err)
	}
}
