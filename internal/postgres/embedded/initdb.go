package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"onepg/internal/fault"
)

// superuser is the role that owns the cluster, named as tools expect it.
const superuser = "postgres"

// clusterMajor gives the version that made the cluster, or 0 where there is
// none yet.
func (c *cluster) clusterMajor() (int, error) {
	text, err := os.ReadFile(c.path(pgdataName, "PG_VERSION"))
	if err == nil {
		major, parseErr := strconv.Atoi(strings.TrimSpace(string(text)))
		if parseErr != nil {
			return 0, fmt.Errorf("read the cluster's version: %w", parseErr)
		}
		return major, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read the cluster's version: %w", err)
	}
	entries, err := os.ReadDir(c.path(pgdataName))
	if len(entries) > 0 {
		return 0, fault.New(fault.Unavailable, "data-dir-foreign", fmt.Sprintf(
			"%s is not empty and not a PostgreSQL cluster (PG_VERSION is missing); it was left untouched. "+
				"Restore it from a backup, or move it away to start with an empty database", c.path(pgdataName)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("look for a cluster: %w", err)
	}
	return 0, nil
}

// initialise makes the cluster: initdb works in a directory beside it, which
// then gets the cluster's name. A crash leaves a directory that is recognised
// by its name and removed here; nobody writes to it any more, because initdb
// keeps server.lock, without which this function is not called.
func (c *cluster) initialise(ctx context.Context, lock *fileLock) error {
	for _, leftover := range glob(c.path(initPrefix + "*")) {
		if err := os.RemoveAll(leftover); err != nil {
			return fmt.Errorf("remove an interrupted initdb: %w", err)
		}
	}
	dir, err := os.MkdirTemp(c.dir, initPrefix+"*")
	if err != nil {
		return fmt.Errorf("make a directory for initdb: %w", err)
	}
	if err = c.account.give(dir); err == nil {
		err = c.runInitdb(ctx, lock, dir)
	}
	if err == nil {
		err = os.Rename(dir, c.path(pgdataName))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return syncDir(c.dir)
}

// runInitdb tries the locales in turn. Why not plain C: its upper and lower
// know only ASCII. Why not the user's: sorting would change with the system's
// libraries, and indexes with it; bytes sort the same everywhere.
func (c *cluster) runInitdb(ctx context.Context, lock *fileLock, dir string) error {
	var tail string
	for _, ctype := range []string{"C.UTF-8", "en_US.UTF-8", "C"} {
		err := c.initdb(ctx, lock, dir, ctype)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("initdb: %w", ctx.Err())
		}
		if tail = c.logTail(); !strings.Contains(tail, "invalid locale name") {
			break
		}
	}
	return fault.Wrap(errors.New(tail), fault.Unavailable, "postgres-start",
		"initdb could not make the cluster; the end of "+c.path(logName))
}

func (c *cluster) initdb(ctx context.Context, lock *fileLock, dir, ctype string) error {
	args := []string{
		"--pgdata=" + dir, "--username=" + superuser, "--encoding=UTF8", "--locale=C", "--lc-ctype=" + ctype,
		"--data-checksums", "--auth-local=trust", "--auth-host=reject", "--no-instructions",
	}
	if c.settings["fsync"] == "off" {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, c.binaries.path("initdb"), args...)
	if err := c.startProcess(cmd, lock); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	return nil
}

// syncDir makes a rename in the directory durable.
func syncDir(dir string) error {
	file, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return fmt.Errorf("sync the data directory: %w", err)
	}
	if err = errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("sync the data directory: %w", err)
	}
	return nil
}
