//go:build smoke

package app_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/postgres/pgtest"
)

// pooledConns is how many connections to PostgreSQL the pooler has: few, so
// that everybody gets everybody else's.
const pooledConns = 4

// pgbouncer runs PgBouncer in transaction mode before a database and gives the
// address through it.
func pgbouncer(t *testing.T, database string) string {
	t.Helper()
	binary, err := exec.LookPath("pgbouncer")
	if err != nil {
		binary = "/usr/sbin/pgbouncer" // where Debian has it, which is not in everybody's PATH
	}
	if _, err := os.Stat(binary); err != nil {
		t.Fatal("PgBouncer is not installed: run .ci/pgbouncer.sh, or install the package pgbouncer")
	}
	behind, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	host, port := behind.Hostname(), behind.Port()
	if socket := behind.Query().Get("host"); socket != "" {
		if suffix := regexp.MustCompile(`/\.s\.PGSQL\.(\d+)$`).FindStringSubmatch(socket); suffix != nil {
			host, port = strings.TrimSuffix(socket, suffix[0]), suffix[1]
		} else {
			host, port = socket, behind.Query().Get("port")
		}
	}
	if port == "" {
		port = "5432"
	}
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, front, _ := net.SplitHostPort(free.Addr().String())
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	login := "user=" + behind.User.Username()
	if password, ok := behind.User.Password(); ok {
		login += " password=" + password
	}
	config := filepath.Join(t.TempDir(), "pgbouncer.ini")
	// Why auth_type any: everybody is let in, as the one user.
	text := fmt.Sprintf("[databases]\n* = host=%s port=%s %s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\n"+
		"auth_type = any\npool_mode = transaction\ndefault_pool_size = %d\nmax_client_conn = 500\n", host, port, login, front, pooledConns)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"-q", config}
	if os.Geteuid() == 0 { // which PgBouncer refuses to be
		args = append([]string{"-u", ownerOf(t, host)}, args...)
		for dir := filepath.Dir(config); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	process := exec.Command(binary, args...)
	process.Stdout, process.Stderr = t.Output(), t.Output()
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGINT)
		_ = process.Wait()
	})
	address := "127.0.0.1:" + front
	eventually(t, "PgBouncer is there", func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return "postgres://app@" + address + behind.Path + "?sslmode=disable"
}

// ownerOf names the user that may use a server's socket, or anybody for a server
// on the network.
func ownerOf(t *testing.T, host string) string {
	t.Helper()
	info, err := os.Stat(host)
	if err != nil {
		return "nobody"
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("the owner of %s is a %T", host, info.Sys())
	}
	owner, err := osuser.LookupId(strconv.Itoa(int(stat.Uid)))
	if err != nil {
		t.Fatal(err)
	}
	return owner.Username
}

// leftBehind gives what the pooler's connections to the server listen to.
func (a *api) leftBehind(t *testing.T, direct string) string {
	t.Helper()
	var list []string
	err := connect(t, direct).NewRaw(`SELECT DISTINCT query FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'LISTEN%'`).Scan(t.Context(), &list)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, ", ")
}

// busy is much of what the program does, at once.
func (a *api) busy(t *testing.T) {
	t.Helper()
	const clients, rounds = 8, 25
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			id := uuid.New()
			if got := a.post(about(id), "Prefer: wait=30"); got.status != http.StatusCreated || got.header.Get("Preference-Applied") == "" {
				t.Errorf("%d %s", got.status, got.body)
			}
			for n := range rounds {
				got := a.post(event(uuid.New(), id, "user.updated", fmt.Sprintf(`{"name":"%d"}`, n)), `If-Match: "`+strconv.Itoa(n+1)+`"`)
				if got.status != http.StatusCreated {
					t.Errorf("%d %s", got.status, got.body)
				}
			}
			path := "/v1/users/" + id.String()
			for _, read := range []string{path + "?min_version=" + strconv.Itoa(rounds+1), path + "?version=2", path + "/history", "/v1/users", "/v1/events", "/v1/views"} {
				if got := a.get(read, "Prefer: wait=30"); got.status != http.StatusOK {
					t.Errorf("%s: %d %s", read, got.status, got.body)
				}
			}
			payment := uuid.New()
			if got := a.command(payment, "process", "k", paying(id, "1.00", "USD", "wallet"), "Prefer: wait=30"); got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
			if got := a.get("/v1/payments/" + payment.String()); got.status != http.StatusOK {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	all.Wait()
	if got := a.do(http.MethodPost, "/v1/views/users/rebuild", ""); got.status != http.StatusAccepted {
		t.Errorf("rebuild: %d %s", got.status, got.body)
	}
	eventually(t, "rebuilt", func() bool { return !strings.Contains(a.get("/v1/views").body, `"rebuilding"`) })
}

// pgtest's cluster does not wait for the disk anyway, so that a session that was
// told not to is found by who told it.
const toldNotToWait = "SELECT source FROM pg_settings WHERE name = 'synchronous_commit'"

func TestBehindPgBouncerEverythingWorksWithADirectListenURL(t *testing.T) {
	t.Parallel()
	direct := pgtest.New(t)
	pooled := pgbouncer(t, direct)
	log := new(safeBuffer)
	a := startLogging(t, log, slog.LevelInfo, "--database-url="+pooled, "--listen-url="+direct)
	eventually(t, "it listens", func() bool { return strings.Contains(log.String(), "listening for new events") })
	a.busy(t)
	through := connect(t, pooled)
	for range 10 * pooledConns {
		var source string
		if err := through.NewRaw(toldNotToWait).Scan(t.Context(), &source); err != nil || source == "session" {
			t.Fatalf("a connection that appends go over was told not to wait for the disk: %s %v", source, err)
		}
	}
	if text := log.String(); strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
		t.Errorf("it complains:\n%s", text)
	}
}

func TestBehindPgBouncerWithoutAListenURLItSaysSoAndPolls(t *testing.T) {
	t.Parallel()
	direct := pgtest.New(t)
	pooled := pgbouncer(t, direct)
	log := new(safeBuffer)
	a := startLogging(t, log, slog.LevelInfo, "--database-url="+pooled, "--poll-interval=100ms")
	eventually(t, "it says that it polls", func() bool {
		return strings.Contains(log.String(), "mode=polling") && strings.Contains(log.String(), "APP_LISTEN_URL")
	})
	a.busy(t)
	if list := a.leftBehind(t, direct); list != "" {
		t.Errorf("a connection was left that listens: %s", list)
	}
	if text := log.String(); strings.Contains(text, "level=ERROR") || strings.Count(text, "level=WARN") != 1 {
		t.Errorf("it complains of more than that:\n%s", text)
	}
}
