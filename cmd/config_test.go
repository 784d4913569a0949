package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onepg/internal/config"
)

// canary is a password that must never be printed.
const canary = "kanarienvogel"

func TestConfigShowNamesTheSourceOfEachSetting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("APP_POOL_WAIT=3s\nAPP_LOG_LEVEL=warn\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := invokeIn(t, dir, []string{"APP_LOG_LEVEL=debug"}, "config", "show", "--addr=127.0.0.1:1", "--output=json")
	var settings []config.Setting
	if err := json.Unmarshal([]byte(got.stdout), &settings); err != nil {
		t.Fatalf("%v in:\n%s%s", err, got.stdout, got.stderr)
	}
	want := map[string]config.Setting{
		"APP_ADDR":      {Key: "APP_ADDR", Value: "127.0.0.1:1", Source: "flag"},
		"APP_LOG_LEVEL": {Key: "APP_LOG_LEVEL", Value: "debug", Source: "environment"},
		"APP_POOL_WAIT": {Key: "APP_POOL_WAIT", Value: "3s", Source: ".env"},
		"APP_POOL_SIZE": {Key: "APP_POOL_SIZE", Value: "10", Source: "default"},
	}
	for _, s := range settings {
		if w, ok := want[s.Key]; ok && s != w {
			t.Errorf("got %+v, want %+v", s, w)
		}
		delete(want, s.Key)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestNoCommandPrintsAPassword(t *testing.T) {
	t.Parallel()
	valid := []string{"APP_DATABASE_URL=postgres://u:" + canary + "@h/db?password=" + canary, "APP_LISTEN_URL=postgres://u:" + canary + "@h/db"}
	broken := []string{"APP_DATABASE_URL=postgres://u:1/" + canary + "@h/db", "APP_DATABASE_ULR=postgres://u:" + canary + "@h/db"}
	for _, env := range [][]string{valid, broken} {
		for _, args := range [][]string{
			{"config", "show"},
			{"config", "show", "-o", "json"},
			{"version"},
			{"--help"},
			{"config", "show", "--listen-url", "mysql://u:" + canary + "@h"},
			{"config", "show", "--database-urll", "postgres://u:" + canary + "@h"},
		} {
			got := invoke(t, env, args...)
			if strings.Contains(got.stdout+got.stderr, canary) {
				t.Errorf("app %v prints the password:\n%s%s", args[:2], got.stdout, got.stderr)
			}
		}
	}
	if got := invoke(t, valid, "config", "show"); !strings.Contains(got.stdout, "postgres://u:xxxxx@h/db") {
		t.Errorf("the rest of the URL is not shown:\n%s", got.stdout)
	}
}

func TestListsAreTablesForPeopleAndArraysForPrograms(t *testing.T) {
	t.Parallel()
	columns := []column[config.Setting]{
		{"KEY", func(s config.Setting) string { return s.Key }},
		{"VALUE", func(s config.Setting) string { return s.Value }},
	}
	two := []config.Setting{{Key: "A", Value: "long value", Source: "flag"}, {Key: "LONG_KEY", Value: "<b>", Source: "flag"}}
	tests := map[string]struct {
		format outputFormat
		items  []config.Setting
		want   string
	}{
		"table":       {outputTable, two, "KEY       VALUE\nA         long value\nLONG_KEY  <b>\n"},
		"empty table": {outputTable, nil, "KEY  VALUE\n"},
		"json": {outputJSON, two[1:], `[
  {
    "key": "LONG_KEY",
    "value": "<b>",
    "source": "flag"
  }
]
`},
		"empty json": {outputJSON, nil, "[]\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := printList(&out, test.format, test.items, columns); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVersionNamesTheGoReleaseAndTheRevision(t *testing.T) {
	t.Parallel()
	got := invoke(t, nil, "version", "--output", "json")
	var b build
	if err := json.Unmarshal([]byte(got.stdout), &b); err != nil {
		t.Fatal(err)
	}
	if b.Version == "" || !strings.HasPrefix(b.Go, "go1.") {
		t.Errorf("%+v", b)
	}
	for want, b := range map[string]build{
		"unknown":          {},
		"abc":              {Revision: "abc"},
		"abc with changes": {Revision: "abc", Modified: true},
	} {
		if got := b.revision(); got != want {
			t.Errorf("%+v is %q, want %q", b, got, want)
		}
	}
}
