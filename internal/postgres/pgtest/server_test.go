package pgtest

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestDatabasesOfDeadProcessesAreSwept(t *testing.T) {
	t.Parallel()
	s := connect(t)
	process := exec.CommandContext(t.Context(), "true")
	must(t, process.Run())
	dead := fmt.Sprintf("%s%d_left", testPrefix, process.Process.Pid)
	alive := newName()
	for _, name := range []string{dead, alive} {
		must(t, s.execute(t.Context(), "CREATE DATABASE "+name+" TEMPLATE template0"))
		s.lend(t, name)
	}
	must(t, s.sweep(t.Context()))
	names := list(t, s, testPrefix)
	if slices.Contains(names, dead) || !slices.Contains(names, alive) {
		t.Errorf("left are %v", names)
	}
}

func TestATemplateThatWasDroppedIsMadeAgain(t *testing.T) {
	t.Parallel()
	New(t)
	s := connect(t)
	template, err := templateName()
	must(t, err)
	must(t, s.execute(t.Context(), "DROP DATABASE IF EXISTS "+template+" WITH (FORCE)"))
	New(t)
	if !slices.Contains(list(t, s, templatePrefix), template) {
		t.Errorf("there is no %s", template)
	}
}

func TestAnotherServerIsUsedWhereOneIsNamed(t *testing.T) {
	t.Setenv("APP_TEST_DATABASE_URL", connect(t).database("postgres"))
	s, err := open()
	must(t, err)
	name := newName()
	must(t, s.clone(t.Context(), name))
	s.lend(t, name)
	if s.cluster != nil || !slices.Contains(list(t, s, testPrefix), name) {
		t.Error("it was not used")
	}
}

func TestADirectoryThatOthersCanWriteToIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open, link, own := filepath.Join(dir, "open"), filepath.Join(dir, "link"), filepath.Join(dir, "own")
	must(t, errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.Symlink(t.TempDir(), link)))
	for _, name := range []string{open, link} {
		if ensurePrivate(name) == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	must(t, ensurePrivate(own))
	must(t, ensurePrivate(own)) // It is there by now, and still ours.
}

func list(t *testing.T, s *server, prefix string) []string {
	t.Helper()
	var names []string
	must(t, s.with(t.Context(), func(conn *sql.Conn) (err error) {
		names, err = databases(t.Context(), conn, prefix)
		return err
	}))
	return names
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
