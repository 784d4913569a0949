package migrate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"onepg/internal/fault"
)

// stampLayout is how a migration's file name begins, in UTC.
const stampLayout = "20060102150405"

// maxNameLength keeps the file names within what every file system takes.
const maxNameLength = 100

const upTemplate = `-- %s: say here what it changes and why.
-- This file runs in one transaction. It waits two seconds for a lock; on a table
-- in use prefer small steps (add a column without a default that must be computed,
-- add a constraint NOT VALID and validate it in a later migration).
`

const downTemplate = `-- %s: undo exactly what the up file does.
`

// Create writes an empty migration, its up and its down file, into dir and
// returns their paths. The name is lower-case letters, digits and underscores,
// else the failure has the code "migration-name-invalid". The time is now, or a
// second past the newest migration in dir, so that the new one always runs
// last. It never overwrites a file.
func Create(dir, name string, now time.Time) ([]string, error) {
	if !validName(name) {
		return nil, fault.New(fault.Invalid, "migration-name-invalid", fmt.Sprintf(
			"The name of a migration is up to %d lower-case letters, digits and underscores and begins with a letter, for example add_user_phone.",
			maxNameLength))
	}
	newest, err := newestStamp(dir)
	if err != nil {
		return nil, err
	}
	stamp := now.UTC().Truncate(time.Second)
	if !stamp.After(newest) {
		stamp = newest.Add(time.Second)
	}
	base := filepath.Join(dir, stamp.Format(stampLayout)+"_"+name)
	up, down := base+".tx.up.sql", base+".tx.down.sql"
	if err := writeNew(up, fmt.Sprintf(upTemplate, name)); err != nil {
		return nil, err
	}
	if err := writeNew(down, fmt.Sprintf(downTemplate, name)); err != nil {
		return nil, errors.Join(err, os.Remove(up))
	}
	return []string{up, down}, nil
}

func validName(name string) bool {
	if name == "" || len(name) > maxNameLength || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// newestStamp is the time of the last migration in dir, zero if there is none.
func newestStamp(dir string) (time.Time, error) {
	var newest time.Time
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return newest, fault.Wrap(err, fault.NotFound, "migration-directory-missing",
			"There is no directory "+dir+" here; run this in the root of the source tree.")
	}
	if err != nil {
		return newest, fmt.Errorf("read the migrations: %w", err)
	}
	for _, entry := range entries {
		prefix, _, _ := strings.Cut(entry.Name(), "_")
		if at, err := time.Parse(stampLayout, prefix); err == nil && at.After(newest) {
			newest = at
		}
	}
	return newest, nil
}

func writeNew(path, content string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // source code, read by everyone
	if err != nil {
		return fmt.Errorf("create a migration: %w", err)
	}
	_, err = file.WriteString(content)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write a migration: %w", err)
	}
	return nil
}
