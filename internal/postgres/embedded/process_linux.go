package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// canOverride: a process without root can be given a single capability.
const canOverride = true

// capDACOverride is CAP_DAC_OVERRIDE of capabilities(7).
const capDACOverride = 1

// attributes detach a process from our terminal, so that Ctrl-C does not reach
// it, and let it run as the account.
func attributes(a account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true, Credential: a.credential()}
	if a.override {
		attr.AmbientCaps = []uintptr{capDACOverride}
	}
	return attr
}

// worksIn reports whether the process has dir as its working directory, as a
// postmaster has its cluster; known is false where we may not see that.
func worksIn(_ context.Context, pid int, dir string) (works, known bool) {
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return false, true
	}
	ours, dirErr := os.Stat(dir)
	if err != nil || dirErr != nil {
		return false, false
	}
	return os.SameFile(theirs, ours), true
}
