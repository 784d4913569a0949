package embedded_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"onepg/internal/fault"
	"onepg/internal/postgres/embedded"
)

func TestForeignDirectoriesAreRefusedAndUntouched(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files []string
		code  string
		says  string
	}{
		"somebody's files":      {[]string{"thesis.txt"}, "data-dir-foreign", "thesis.txt"},
		"a PostgreSQL cluster":  {[]string{"PG_VERSION", "base/1"}, "data-dir-foreign", "APP_DATABASE_URL"},
		"a broken cluster":      {[]string{"start.lock", "users.lock", "server.lock", "pgdata/base/1"}, "data-dir-foreign", "backup"},
		"another major version": {[]string{"start.lock", "users.lock", "server.lock", "pgdata/PG_VERSION"}, "postgres-version", "PostgreSQL 9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, file := range test.files {
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o700))
				must(t, os.WriteFile(filepath.Join(dir, file), []byte("9\n"), 0o600))
			}
			before := listing(t, dir)
			_, err := embedded.Start(t.Context(), fast(dir))
			if !fault.Is(err, test.code) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v", err)
			}
			if after := listing(t, dir); after != before {
				t.Errorf("changed from\n%s\nto\n%s", before, after)
			}
		})
	}
}

func TestHiddenFilesDoNotMakeADirectoryForeign(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("*\n"), 0o600))
	query(t, startServer(t, fast(dir)).URL(), "SELECT 1")
}

func TestAPathTooLongForASocketIsNoObstacle(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 20), `odd, "name" with spaces`)
	server := startServer(t, fast(dir))
	query(t, server.URL(), "SELECT 1")
	socket := socketOf(t, server.URL())
	if strings.HasPrefix(socket, dir) {
		t.Errorf("the path was not too long: %s", socket)
	}
	info, err := os.Stat(filepath.Dir(socket))
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("others can reach the socket: %v", info.Mode())
	}
	must(t, server.Close())
	if _, err = os.Stat(filepath.Dir(socket)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket's directory stayed: %v", err)
	}
}

func TestAnOddNameIsNoObstacle(t *testing.T) {
	t.Parallel()
	query(t, startServer(t, fast(filepath.Join(t.TempDir(), `a, "b" c=d`))).URL(), "SELECT 1")
}

func TestASocketDirectoryOfOthersIsNotUsed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 20))
	server := startServer(t, fast(dir))
	short := filepath.Dir(socketOf(t, server.URL()))
	must(t, server.Close())
	for name, trap := range map[string]func() error{
		"open to all": func() error { return errors.Join(os.Mkdir(short, 0o700), os.Chmod(short, 0o777)) },
		"a link":      func() error { return os.Symlink(t.TempDir(), short) },
	} {
		must(t, trap())
		_, err := embedded.Start(t.Context(), fast(dir))
		if !fault.Is(err, "socket-dir-foreign") {
			t.Errorf("%s: got %v", name, err)
		}
		must(t, os.RemoveAll(short))
	}
}

// listing gives every path with its mode, owner and size.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	must(t, filepath.Walk(dir, func(name string, info fs.FileInfo, err error) error {
		if err == nil {
			all.WriteString(name + " " + info.Mode().String() + " " + strconv.FormatInt(info.Size(), 10) + "\n")
		}
		return err
	}))
	return all.String()
}

// asOwner lets a process run as the owner of a file.
func asOwner(t *testing.T, name string) *syscall.SysProcAttr {
	t.Helper()
	info, err := os.Stat(name)
	must(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner")
	}
	if int(stat.Uid) == os.Geteuid() {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}}
}
