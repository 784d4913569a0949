package app_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden lists")

// golden holds a public list against the one that was agreed on. What is on
// disk or in clients' code does not change by accident.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s has changed. It is public; if that is meant, run make generate. (-agreed +now)\n%s", path, cmp.Diff(string(want), got))
	}
}

func TestRoutesAndEventNamesArePublic(t *testing.T) {
	t.Parallel()
	a := start(t)
	type response struct {
		Ref         string `json:"$ref"`
		Description string
	}
	var spec struct {
		Paths map[string]map[string]struct {
			Security  []map[string][]string
			Responses map[string]response
		}
		Components struct{ Responses map[string]response }
	}
	got := a.get("/openapi.json")
	if err := json.Unmarshal([]byte(got.body), &spec); err != nil {
		t.Fatal(err)
	}
	var routes []string
	codes := map[string]bool{}
	for path, methods := range spec.Paths {
		for method, op := range methods {
			scope := "public"
			for _, s := range op.Security {
				scope = strings.Join(s["bearer"], " ")
			}
			routes = append(routes, fmt.Sprintf("%-6s %-40s %s", strings.ToUpper(method), path, scope))
			for status, r := range op.Responses {
				if shared, ok := spec.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")]; ok {
					r = shared
				}
				for _, code := range strings.Split(strings.ReplaceAll(r.Description, "`", ""), ", ") {
					if status >= "400" {
						codes[status+" "+code] = true
					}
				}
			}
		}
	}
	golden(t, "routes.txt", lines(routes))
	var list []string
	for code := range codes {
		list = append(list, code)
	}
	golden(t, "problems.txt", lines(list))
	var events []string
	if err := connect(t, a.database).NewRaw("SELECT format('%s %s %s', name, schema_version, lifecycle) FROM event_types").Scan(t.Context(), &events); err != nil {
		t.Fatal(err)
	}
	golden(t, "events.txt", lines(events))
}

func lines(list []string) string {
	sort.Strings(list)
	return strings.Join(list, "\n") + "\n"
}
