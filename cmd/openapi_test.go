package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Neither a database nor Node is needed for the specification and the client.
func TestTheSpecificationAndTheClientNeedNoDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nowhere := []string{"APP_DATABASE_URL=postgres://nobody@127.0.0.1:1/nothing", "PATH="}
	printed := invokeIn(t, dir, nowhere, "openapi")
	var document struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]any
	}
	if err := json.Unmarshal([]byte(printed.stdout), &document); err != nil || printed.code != exitDone {
		t.Fatalf("exit %d, %v\n%s", printed.code, err, printed.stderr)
	}
	if !strings.HasPrefix(document.OpenAPI, "3.1") || document.Paths["/v1/users/events"] == nil {
		t.Errorf("OpenAPI %s with %d paths", document.OpenAPI, len(document.Paths))
	}
	if got := invokeIn(t, dir, nowhere, "openapi", "--file", "openapi.json"); got.code != exitDone || got.stdout != "" {
		t.Errorf("exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "openapi.json")); err != nil || string(text) != printed.stdout {
		t.Errorf("the file has %d bytes of %d: %v", len(text), len(printed.stdout), err)
	}
	got := invokeIn(t, dir, nowhere, "client", "typescript", "--out", "web/client")
	if got.code != exitDone || strings.Count(got.stdout, "web/client/") != 5 {
		t.Errorf("exit %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	types, err := os.ReadFile(filepath.Join(dir, "web", "client", "types.d.ts"))
	if err != nil || !strings.Contains(string(types), "export type UserCreatedV1 = {") {
		t.Errorf("%v\n%.500s", err, types)
	}
}

func TestWhereTheClientCannotBeWrittenIsSaid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"client", "typescript"}, exitUsage, `"out" not set`},
		{[]string{"client", "typescript", "--out", "/dev/null/x"}, exitFailure, "make the folder of the client"},
		{[]string{"openapi", "--file", "/dev/null/x"}, exitFailure, "write /dev/null/x"},
		{[]string{"client", "cobol"}, exitUsage, "cobol"},
	} {
		if got := invokeIn(t, dir, nil, c.args...); got.code != c.code || !strings.Contains(got.stderr, c.says) {
			t.Errorf("%v: exit %d\n%s", c.args, got.code, got.stderr)
		}
	}
}
