//go:build linux || darwin

package doctor

import (
	"fmt"
	"syscall"
)

// freeSpace is what a user without privileges may still write, in bytes.
func freeSpace(dir string) (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("statfs: %w", err)
	}
	return fs.Bavail * uint64(fs.Bsize), nil //nolint:gosec,nolintlint // a block's size is positive; its type differs by system
}
