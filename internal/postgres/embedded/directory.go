package embedded

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"onepg/internal/fault"
)

// What a data directory holds; the package comment says what each is for.
const (
	startLock  = "start.lock"
	usersLock  = "users.lock"
	serverLock = "server.lock"
	watchLock  = "watch.lock"
	pgdataName = "pgdata"
	initPrefix = "pgdata.init-"
	runName    = "run"
	logName    = "postgres.log"
)

const (
	port       = "5432" // Part of the socket's name; no TCP port is opened.
	socketName = ".s.PGSQL." + port
	// maxSocketPath is what fits into sockaddr_un on macOS; Linux has 4 more.
	maxSocketPath = 103
)

// claim makes the data directory, or makes sure that an existing one is ours or
// empty, and gives its absolute path without symbolic links, so that every name
// for it leads to the same locks and socket. Nothing in a directory of somebody
// else is touched.
func claim(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Why 0711: the server's user has to pass through, nobody has to look.
		if err = os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // See above.
			return "", fmt.Errorf("make the data directory: %w", err)
		}
	case err != nil:
		return "", fmt.Errorf("data directory: %w", err)
	default:
		if err = refuseForeign(dir, entries); err != nil {
			return "", err
		}
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	return dir, nil
}

// refuseForeign fails for a directory that this package did not make. Ours has
// start.lock before anything else; hidden files and a file system's lost+found
// are no sign of use.
func refuseForeign(dir string, entries []fs.DirEntry) error {
	var strangers []string
	for _, entry := range entries {
		switch name := entry.Name(); {
		case name == startLock:
			return nil
		case name == "PG_VERSION":
			return fault.New(fault.Unavailable, "data-dir-foreign", fmt.Sprintf(
				"%s is itself the data directory of a PostgreSQL server, and was left untouched; "+
					"start that server and set APP_DATABASE_URL, or set APP_DATA_DIR to a new directory", dir))
		case !strings.HasPrefix(name, ".") && name != "lost+found":
			strangers = append(strangers, name)
		}
	}
	if len(strangers) == 0 {
		return nil
	}
	return fault.New(fault.Unavailable, "data-dir-foreign", fmt.Sprintf(
		"%s holds files of something else (%s …) and was left untouched; set APP_DATA_DIR to a new or empty directory",
		dir, strangers[0]))
}

// denied explains a directory that the operating system keeps us out of.
func denied(dir string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "data-dir-denied", fmt.Sprintf(
		"%s cannot be used by this user (uid %d); run as the user it belongs to, or set APP_DATA_DIR to a directory of your own",
		dir, os.Geteuid()))
}

// socketDir is where the server puts its socket: below the data directory, or
// where that path is too long for a socket in a short one made from its hash.
func (c *cluster) socketDir() string {
	sum := sha256.Sum256([]byte(c.dir))
	short := fmt.Sprintf("onepg-%d-%x", os.Geteuid(), sum[:8])
	for _, dir := range []string{c.path(runName), filepath.Join(os.TempDir(), short)} {
		if len(filepath.Join(dir, socketName)) <= maxSocketPath {
			return dir
		}
	}
	return filepath.Join("/tmp", short)
}

// makePrivate makes a directory that only the account can enter. One that
// exists must be just that already: in a directory for temporary files another
// user may have put a directory, or a link, of that name there first.
func (a *account) makePrivate(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return a.give(dir)
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the socket's directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the socket's directory: %w", err)
	}
	owner, _ := ownerOf(info)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || owner != a.uid && owner != os.Geteuid() {
		return fault.New(fault.Unavailable, "socket-dir-foreign", fmt.Sprintf(
			"%s should be a directory for the server's socket that only uid %d can enter, but is not; "+
				"another user may have made it. Remove it, or set APP_DATA_DIR to a shorter path", dir, a.uid))
	}
	return a.give(dir)
}
