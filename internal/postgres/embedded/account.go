package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"onepg/internal/fault"
)

// An account is the operating system user that the server runs as.
type account struct {
	uid, gid int
	// switched: we are root and the server is somebody else.
	switched bool
	// override: the server needs CAP_DAC_OVERRIDE to reach its directory.
	override bool
}

// accountFor gives the user to run the cluster in pgdata as: ourselves, or for
// root its owner, or postgres or nobody where there is no cluster yet.
func accountFor(pgdata string) (account, error) {
	me := os.Geteuid()
	info, err := os.Stat(pgdata)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if me != 0 {
			return account{uid: me, gid: os.Getegid()}, nil
		}
		return unprivileged()
	case err != nil:
		return account{}, fmt.Errorf("look at the cluster's owner: %w", err)
	}
	uid, gid := ownerOf(info)
	switch {
	case me == 0 && uid == 0:
		return account{}, fault.New(fault.Unavailable, "postgres-owner", fmt.Sprintf(
			"%s belongs to root, and PostgreSQL refuses to run as root; "+
				"give it back to the user it was made by: chown -R postgres %[1]s", pgdata))
	case me != 0 && uid != me:
		return account{}, fault.New(fault.Unavailable, "postgres-owner", fmt.Sprintf(
			"%s belongs to another user (uid %d, you are %d); run as that user, or set APP_DATA_DIR to a directory of your own",
			pgdata, uid, me))
	}
	return account{uid: uid, gid: gid, switched: me == 0}, nil
}

// unprivileged is whom root starts a new cluster as.
func unprivileged() (account, error) {
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(found.Uid)
		gid, gidErr := strconv.Atoi(found.Gid)
		if err = errors.Join(uidErr, gidErr); err != nil {
			return account{}, fmt.Errorf("user %s: %w", name, err)
		}
		return account{uid: uid, gid: gid, switched: true}, nil
	}
	return account{}, fault.New(fault.Unavailable, "postgres-owner",
		"PostgreSQL refuses to run as root, and this machine has neither a user postgres nor nobody; run as another user")
}

// reach makes sure that the account gets to the data directory, with a
// capability if it must. The kernel is asked by trying: a computation from mode
// bits would miss access lists, and root's own reach proves nothing.
func (a *account) reach(ctx context.Context, binaries Binaries, dir string) error {
	if !a.switched {
		return nil
	}
	try := exec.CommandContext(ctx, binaries.path("postgres"), "--version")
	try.Dir, try.SysProcAttr = dir, attributes(*a)
	err := try.Run()
	if errors.Is(err, syscall.EACCES) && canOverride {
		a.override = true
		return nil
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "postgres-owner", fmt.Sprintf(
			"the server runs as uid %d, which cannot reach %s or %s; set APP_DATA_DIR to a directory it can reach",
			a.uid, dir, binaries.Dir))
	}
	return nil
}

// give makes the account the owner of a directory this package has made.
func (a *account) give(dir string) error {
	if !a.switched {
		return nil
	}
	if err := os.Lchown(dir, a.uid, a.gid); err != nil {
		return fmt.Errorf("hand the directory to the server's user: %w", err)
	}
	return nil
}

// credential is what a child needs to become the account.
func (a *account) credential() *syscall.Credential {
	if !a.switched {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)} //nolint:gosec // Ids of the system's own user table fit.
}

// ownerOf gives the owner of a file, or -1 on a file system that has none.
func ownerOf(info fs.FileInfo) (uid, gid int) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(stat.Uid), int(stat.Gid)
}
