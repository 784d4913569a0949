// Package archtest tests the tree itself: who imports whom, that each package
// says what it is for, and that the papers at the top name what exists.
package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// layers lists who may import whom inside the program: what is named, and what
// is below it. Whatever is not listed may import nothing of ours.
var layers = map[string][]string{
	"cmd":                                {"internal/aggregator", "internal/app", "internal/auth", "internal/bench", "internal/config", "internal/doctor", "internal/domains", "internal/domains/*", "internal/eventsourcing", "internal/eventstore", "internal/fault", "internal/migrate", "internal/postgres", "internal/tsclient", "internal/verify", "migrations"},
	"main":                               {"cmd"},
	"internal/app":                       {"internal", "migrations"},
	"internal/auth":                      {"internal/eventsourcing", "internal/fault", "internal/postgres"},
	"internal/chaos":                     {},
	"internal/docs":                      {"internal/httpapi"},
	"internal/doctor":                    {"internal/config", "internal/fault", "internal/listener", "internal/migrate", "internal/postgres"},
	"internal/httpapi":                   {"internal/tail", "internal/eventsourcing", "internal/fault", "internal/schema", "internal/strictjson"},
	"internal/aggregator":                {"internal/eventsourcing", "internal/fault", "internal/postgres", "internal/pause"},
	"internal/aggregator/aggregatortest": {"internal/aggregator", "internal/eventsourcing", "internal/eventstore", "internal/postgres"},
	"internal/console":                   {"internal/aggregator", "internal/eventsourcing", "internal/eventstore", "internal/fault", "internal/httpapi", "internal/schema", "internal/tail"},
	"internal/bench":                     {"internal", "migrations"},
	"internal/eventstore":                {"internal/eventsourcing", "internal/fault", "internal/postgres"},
	"internal/listener":                  {"internal/fault", "internal/pause", "internal/postgres"},
	"internal/eventsourcing":             {"internal/eventsourcing", "internal/fault"},
	"internal/tail":                      {"internal/eventsourcing", "internal/fault", "internal/pause"},
	"internal/domains":                   {"internal/aggregator", "internal/eventsourcing", "internal/httpapi"},
	"internal/domains/*":                 {"internal/aggregator", "internal/domains", "internal/eventsourcing", "internal/fault", "internal/httpapi"},
	"internal/schema":                    {"internal/fault", "internal/strictjson"},
	"internal/strictjson":                {"internal/fault"},
	"internal/tsclient":                  {},
	"internal/config":                    {"internal/fault"},
	"internal/migrate":                   {"internal/fault", "internal/postgres", "internal/pause"},
	"internal/postgres":                  {"internal/fault", "internal/pause"},
	"internal/postgres/embedded":         {"internal/fault"},
	"internal/postgres/pgtest":           {"internal/migrate", "internal/postgres", "migrations"},
	"internal/verify":                    {"internal/aggregator", "internal/eventsourcing", "internal/eventstore", "internal/postgres"},
	"internal/fault":                     {},
	"internal/pause":                     {},
	"internal/archtest":                  {},
	"migrations":                         {},
}

// sources gives the Go files of each package's folder, tests left out.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	packages := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			folder, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			packages[filepath.ToSlash(folder)] = append(packages[filepath.ToSlash(folder)], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// rule finds the law for a folder, or the nearest above it.
func rule(folder string) ([]string, bool) {
	if folder == "." {
		folder = "main"
	}
	for at := folder; at != "."; at = filepath.Dir(at) {
		if allowed, ok := layers[at]; ok {
			return allowed, true
		}
		if allowed, ok := layers[filepath.Dir(at)+"/*"]; ok {
			return allowed, true
		}
	}
	return nil, false
}

func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	for folder, files := range sources(t) {
		allowed, known := rule(folder)
		if !known {
			t.Errorf("%s has no place in the layers", folder)
			continue
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range parsed.Imports {
				imported, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), "onepg/")
				if ours && !within(imported, append(allowed, folder)) {
					t.Errorf("%s imports %s", file, imported)
				}
			}
		}
	}
}

// within reports whether the package is one of the folders or below one. A
// domain counts only where domains are named: the rest of the program does not
// know which there are.
func within(imported string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		if strings.HasPrefix(imported, "internal/domains/") {
			return imported == folder || folder == "internal/domains/*"
		}
		return imported == folder || strings.HasPrefix(imported, folder+"/")
	})
}

func TestEachPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	for folder, files := range sources(t) {
		documented := slices.ContainsFunc(files, func(file string) bool {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
			return err == nil && parsed.Doc != nil
		})
		if !documented {
			t.Errorf("%s has no package comment", folder)
		}
	}
}

func TestTheTopLevelIsWhatItShouldBe(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"cmd", "internal", "migrations", "main.go", "docker-compose.yaml", ".env.example", "test.http",
		"go.mod", "go.sum", "Makefile", "README.md",
	} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestTheReadmeNamesWhatExists(t *testing.T) {
	t.Parallel()
	readme, makefile := read(t, "README.md"), read(t, "Makefile")
	for _, m := range regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)").FindAllStringSubmatch(readme, -1) {
		if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
			t.Errorf("README names make %s, which the Makefile does not have", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([^):#]+)\)`).FindAllStringSubmatch(readme, -1) {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("README links to %s: %v", m[1], err)
		}
	}
	for _, path := range regexp.MustCompile("(?:internal|cmd|migrations)/[a-z/.]*[a-z]").FindAllString(readme, -1) {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Errorf("README names %s: %v", path, err)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
