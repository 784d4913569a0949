package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"onepg/internal/fault"
)

// oldestMajor is the oldest PostgreSQL the program supports.
const oldestMajor = 15

// Binaries is an installed PostgreSQL server: a directory with at least
// postgres and initdb, both of the same version.
type Binaries struct {
	Dir   string
	Major int
}

// FindBinaries gives the PostgreSQL in dir, or with dir empty the first of
// version 15 or newer among: PATH, `pg_config --bindir`, and the places where
// packages install it, newest first. The error names the ways on.
func FindBinaries(ctx context.Context, dir string) (Binaries, error) {
	return choose(ctx, dir, 0)
}

// choose is FindBinaries for a cluster of a given major version; 0 is a new one.
func choose(ctx context.Context, dir string, major int) (Binaries, error) {
	if dir == "" {
		all := installed(ctx)
		if ctx.Err() != nil { // What was found is not all there is.
			return Binaries{}, fmt.Errorf("look for PostgreSQL: %w", ctx.Err())
		}
		return pick(all, major)
	}
	found, err := inspect(ctx, dir)
	if ctx.Err() != nil {
		return Binaries{}, fmt.Errorf("look for PostgreSQL: %w", ctx.Err())
	}
	if err != nil {
		return Binaries{}, fault.Wrap(err, fault.Unavailable, "postgres-missing",
			fmt.Sprintf("There is no PostgreSQL server in %s: postgres and initdb are needed. Correct APP_PG_BINDIR, or remove it to have a server looked for", dir))
	}
	return pick([]Binaries{found}, major)
}

// pick gives the first candidate that can run a cluster of the major version.
func pick(candidates []Binaries, major int) (Binaries, error) {
	for _, candidate := range candidates {
		if candidate.Major == major || major == 0 && candidate.Major >= oldestMajor {
			return candidate, nil
		}
	}
	if major != 0 {
		return Binaries{}, fault.New(fault.Unavailable, "postgres-version", fmt.Sprintf(
			"the data directory was made by PostgreSQL %d, which is not installed (found: %s); it is untouched. "+
				"Install PostgreSQL %d and set APP_PG_BINDIR to its directory, or set APP_DATA_DIR to a new directory, "+
				"or move the data with pg_dump or pg_upgrade", major, describe(candidates), major))
	}
	return Binaries{}, fault.New(fault.Unavailable, "postgres-missing", fmt.Sprintf(
		"no PostgreSQL %d or newer was found on this machine (found: %s). Three ways on:\n"+
			"  install it:         %s\n"+
			"  use a container:    docker compose up -d\n"+
			"  use a running one:  APP_DATABASE_URL=postgres://user:password@host:5432/database",
		oldestMajor, describe(candidates), installCommand()))
}

func describe(candidates []Binaries) string {
	if len(candidates) == 0 {
		return "none"
	}
	found := make([]string, len(candidates))
	for i, candidate := range candidates {
		found[i] = fmt.Sprintf("%d in %s", candidate.Major, candidate.Dir)
	}
	return strings.Join(found, ", ")
}

// installed lists every PostgreSQL on the machine in the order of preference:
// what the user has chosen by PATH, then the newest.
func installed(ctx context.Context) []Binaries {
	var dirs []string
	if server, err := exec.LookPath("postgres"); err == nil {
		dirs = append(dirs, filepath.Dir(server))
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	chosen := inspectAll(ctx, dirs)
	usual := inspectAll(ctx, glob(
		"/usr/lib/postgresql/*/bin", "/usr/lib/postgresql*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*",
		"/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	))
	slices.SortStableFunc(usual, func(a, b Binaries) int { return cmp.Compare(b.Major, a.Major) })
	return append(chosen, usual...)
}

func glob(patterns ...string) []string {
	var dirs []string
	for _, pattern := range patterns {
		matches, err := filepath.Glob(pattern)
		if err == nil { // A pattern of ours is never malformed.
			dirs = append(dirs, matches...)
		}
	}
	return dirs
}

// inspectAll gives those of dirs that hold a server, each once.
func inspectAll(ctx context.Context, dirs []string) []Binaries {
	var all []Binaries
	for _, dir := range dirs {
		found, err := inspect(ctx, dir)
		if err == nil && !slices.Contains(all, found) {
			all = append(all, found)
		}
	}
	return all
}

// inspect gives the server in dir. Symbolic links are followed: packages put
// postgres, but not initdb, into the PATH that way.
func inspect(ctx context.Context, dir string) (Binaries, error) {
	server, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return Binaries{}, fmt.Errorf("find postgres: %w", err)
	}
	if server, err = filepath.Abs(server); err != nil {
		return Binaries{}, fmt.Errorf("find postgres: %w", err)
	}
	found := Binaries{Dir: filepath.Dir(server)}
	if _, err = os.Stat(found.path("initdb")); err != nil {
		return Binaries{}, fmt.Errorf("find initdb: %w", err)
	}
	out, err := exec.CommandContext(ctx, server, "--version").Output()
	if err != nil {
		return Binaries{}, fmt.Errorf("ask %s for its version: %w", server, err)
	}
	found.Major, err = parseMajor(string(out))
	return found, err
}

func (b Binaries) path(name string) string { return filepath.Join(b.Dir, name) }

// parseMajor reads "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", and
// "18beta1" as 18.
func parseMajor(version string) (int, error) {
	match := regexp.MustCompile(`\(PostgreSQL\) (\d+)`).FindStringSubmatch(version)
	if match == nil {
		return 0, fmt.Errorf("not a version of PostgreSQL: %q", version)
	}
	major, err := strconv.Atoi(match[1])
	if err != nil {
		return 0, fmt.Errorf("not a version of PostgreSQL: %q: %w", version, err)
	}
	return major, nil
}

// installCommand is how this machine's package manager installs PostgreSQL.
func installCommand() string {
	managers := []struct{ program, command string }{
		{"brew", "brew install postgresql@17"}, // First: it also exists on Linux and wants no root.
		{"apt-get", "apt-get install -y postgresql"},
		{"apk", "apk add postgresql"},
		{"dnf", "dnf install -y postgresql-server"},
		{"pacman", "pacman -S postgresql"},
		{"zypper", "zypper install -y postgresql-server"},
	}
	for _, manager := range managers {
		if _, err := exec.LookPath(manager.program); errors.Is(err, exec.ErrNotFound) {
			continue
		}
		if manager.program == "brew" || os.Geteuid() == 0 {
			return manager.command
		}
		return "sudo " + manager.command
	}
	return "with your system's package manager (the server, not only psql)"
}
