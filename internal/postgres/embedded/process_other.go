//go:build !linux

package embedded

import (
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// canOverride: capabilities are Linux's alone.
const canOverride = false

// attributes detach a process from our terminal, so that Ctrl-C does not reach
// it, and let it run as the account.
func attributes(a account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Credential: a.credential()}
}

// worksIn reports whether the process may be the postmaster of dir. Without
// /proc only the program's name is to be had: anything that is not postgres is
// surely not, but which cluster a postgres works in stays unknown.
func worksIn(ctx context.Context, pid int, _ string) (works, known bool) {
	out, err := exec.CommandContext(ctx, "ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return false, len(out) == 0 // ps fails, silently, where there is no such process.
	}
	name := filepath.Base(strings.TrimSpace(string(out)))
	return false, name != "postgres" && name != "postmaster"
}
