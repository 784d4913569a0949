package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onepg/internal/fault"
)

func TestPickPrefersTheFirstThatFits(t *testing.T) {
	t.Parallel()
	candidates := []Binaries{{"/old", 13}, {"/path", 15}, {"/newest", 18}, {"/newer", 16}}
	for name, test := range map[string]struct {
		major int
		want  string
	}{
		"a new cluster takes the first that is supported":    {0, "/path"},
		"a cluster takes its own version":                    {16, "/newer"},
		"even one too old for a new cluster":                 {13, "/old"},
		"a cluster whose version is missing is not upgraded": {17, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := pick(candidates, test.major)
			if got.Dir != test.want {
				t.Errorf("got %q, %v", got.Dir, err)
			}
			if test.want == "" && !fault.Is(err, "postgres-version") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWithoutBinariesTheErrorNamesThreeWaysOn(t *testing.T) {
	t.Parallel()
	_, err := pick([]Binaries{{"/old", 13}}, 0)
	if !fault.Is(err, "postgres-missing") {
		t.Fatalf("got %v", err)
	}
	for _, way := range []string{"13 in /old", "install", "docker compose up -d", "APP_DATABASE_URL"} {
		if !strings.Contains(err.Error(), way) {
			t.Errorf("%q is missing in: %v", way, err)
		}
	}
}

func TestABinaryDirectoryWithoutAServerIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := FindBinaries(t.Context(), dir)
	if !fault.Is(err, "postgres-missing") || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "Correct APP_PG_BINDIR, or remove it") {
		t.Errorf("got %v", err)
	}
}

func TestALinkedServerIsFoundBesideItsInitdb(t *testing.T) {
	t.Parallel()
	place, links := t.TempDir(), t.TempDir()
	for _, name := range []string{"postgres", "initdb"} {
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) 18beta1 (Somewhere 18)'\n"
		if err := os.WriteFile(filepath.Join(place, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(place, "postgres"), filepath.Join(links, "postgres")); err != nil {
		t.Fatal(err)
	}
	got, err := FindBinaries(t.Context(), links)
	if want := (Binaries{Dir: place, Major: 18}); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestParseMajorReadsWhatPackagersPrint(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]int{
		"postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)": 15,
		"postgres (PostgreSQL) 18beta1":                        18,
		"postgres (PostgreSQL) 19devel":                        19,
		"postgres (PostgreSQL) 9.6.24":                         9,
		"mysqld  Ver 8.0.43":                                   0,
	} {
		got, err := parseMajor(version)
		if got != want || (want == 0) != (err != nil) {
			t.Errorf("%s: got %d, %v", version, got, err)
		}
	}
}

func TestTheServerDoesNotSeeOurEnvironment(t *testing.T) {
	t.Setenv("PGPORT", "1")
	t.Setenv("APP_DATABASE_URL", "postgres://secret")
	t.Setenv("LC_CTYPE", "xx_XX")
	t.Setenv("TMPDIR", "/kept")
	env := fmt.Sprint(environment())
	for _, hidden := range []string{"PGPORT", "APP_", "LC_CTYPE"} {
		if strings.Contains(env, hidden) {
			t.Errorf("%s is passed on", hidden)
		}
	}
	if !strings.Contains(env, "TMPDIR=/kept") || !strings.Contains(env, "LC_ALL=C") {
		t.Errorf("missing something: %s", env)
	}
}
