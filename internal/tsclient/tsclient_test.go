package tsclient_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onepg/internal/tsclient"
)

var update = flag.Bool("update", false, "write the golden types")

// The types of this API are kept: the runtime is compiled against them, and a
// review shows what a change of the specification does to clients.
func TestTheTypesArePublic(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../app/testdata/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	files, err := tsclient.Make(document)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, f := range files {
		if f.Name == "types.d.ts" {
			got = string(f.Content)
		}
	}
	const golden = "runtime/types.d.ts"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s has changed; if that is meant, run make generate. (-agreed +now)\n%s", golden, cmp.Diff(string(want), got))
	}
}

func TestThePackageIsWritten(t *testing.T) {
	t.Parallel()
	files, err := tsclient.Make([]byte(`{"info":{"title":"things","version":"1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "deep", "client")
	if err := tsclient.Write(folder, files); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package.json", "types.d.ts", "index.js", "index.d.ts", "README.md"} {
		if text, err := os.ReadFile(filepath.Join(folder, name)); err != nil || len(text) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
	if err := tsclient.Write("/dev/null/client", files); err == nil {
		t.Error("a folder that cannot be made is no error")
	}
}

// Each kind of schema becomes its TypeScript.
func TestSchemasBecomeTypes(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]string{
		`{"type":"string"}`:                                `string`,
		`{"type":"integer"}`:                               `number`,
		`{"type":["string","null"]}`:                       `string | null`,
		`{"enum":["a",1,null]}`:                            `"a" | 1 | null`,
		`{"$ref":"#/components/schemas/Other"}`:            `Other`,
		`{"type":"array","items":{"type":"boolean"}}`:      `boolean[]`,
		`{"type":"array","items":{"enum":["a","b"]}}`:      `Array<"a" | "b">`,
		`{"oneOf":[{"type":"string"},{"type":"number"}]}`:  `string | number`,
		`{"allOf":[{"enum":["a","b"]},{"type":"string"}]}`: `("a" | "b") & string`,
		`{}`:                `unknown`,
		`{"type":"object"}`: `Record<string, unknown>`,
		`{"type":"object","properties":{"a-b":{},"c":{"type":"null"}},"required":["c"]}`:            "{\n  \"a-b\"?: unknown;\n  c: null;\n}",
		`{"type":"object","properties":{"a":{"description":"x */ y"}},"additionalProperties":true}`: "{\n  /** x * / y */\n  a?: unknown;\n  [more: string]: unknown;\n}",
		`{"type":"object","properties":{"a":{}},"minProperties":1}`:                                 "AtLeastOne<{\n  a?: unknown;\n}>",
	} {
		files, err := tsclient.Make([]byte(`{"components":{"schemas":{"T":` + schema + `}}}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if line := "export type T = " + want + ";\n"; f.Name == "types.d.ts" && !strings.Contains(string(f.Content), line) {
				t.Errorf("%s: no %s in %s", schema, line, f.Content)
			}
		}
	}
}

func TestNamesThatWouldClashAreRefused(t *testing.T) {
	t.Parallel()
	for _, document := range []string{`{"components":{"schemas":{"Routes":{}}}}`, `{"components":{"schemas":{"a b":{}}}}`, `nothing`} {
		if _, err := tsclient.Make([]byte(document)); err == nil {
			t.Errorf("%s makes a client", document)
		}
	}
}
