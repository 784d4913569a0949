package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"onepg/internal/postgres/embedded"
)

const (
	// tightDisk is when to make room, fullDisk when PostgreSQL may stop at any
	// moment: it needs space for the log of its own changes (16 MB a piece).
	tightDisk = 1 << 30
	fullDisk  = 100 << 20
)

// binaries looks for the PostgreSQL that the program would start.
func binaries(ctx context.Context, p *patient) Finding {
	if !p.embedded() {
		return skipped("APP_DATABASE_URL names a PostgreSQL that runs already")
	}
	found, err := embedded.FindBinaries(ctx, p.Config.Database.BinDir)
	if err != nil {
		return failed(err.Error(), "Do one of what the message names.")
	}
	return ok(fmt.Sprintf("PostgreSQL %d in %s", found.Major, found.Dir))
}

// disk looks at the space for the embedded PostgreSQL.
func disk(_ context.Context, p *patient) Finding {
	if !p.embedded() {
		return skipped("the data is on the machine of PostgreSQL")
	}
	dir, err := existing(p.Config.Database.DataDir)
	if err != nil {
		return failed(err.Error(), "Set APP_DATA_DIR to a directory that can be made.")
	}
	free, err := freeSpace(dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return skipped("not known on this system")
	case err != nil:
		return failed(fmt.Sprintf("the free space of %s is not known: %v", dir, err), "Look at the disk.")
	}
	return judgeSpace(dir, free)
}

func judgeSpace(dir string, free uint64) Finding {
	found := fmt.Sprintf("%d MiB free in %s", free>>20, dir)
	switch {
	case free < fullDisk:
		return failed(found, "Make room now: PostgreSQL stops when the disk is full.")
	case free < tightDisk:
		return warning(found, "Make room, or move APP_DATA_DIR: the log of events only grows.")
	}
	return ok(found)
}

// existing gives the directory, or the nearest one above that exists.
func existing(dir string) (string, error) {
	at, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find APP_DATA_DIR: %w", err)
	}
	for {
		_, err := os.Stat(at)
		if !errors.Is(err, fs.ErrNotExist) {
			return at, err //nolint:wrapcheck // it names the directory
		}
		at = filepath.Dir(at)
	}
}
