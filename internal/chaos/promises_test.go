package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEachPromiseNamesTestsThatExist holds the list in the package's
// documentation to the tests and scenarios there are.
func TestEachPromiseNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	doc := read(t, "doc.go")
	_, list, _ := strings.Cut(doc, "# Which test proves which promise")
	list, _, _ = strings.Cut(list, "# What it does not show")
	promises := regexp.MustCompile(`(?m)^//\t(P\d+) `).FindAllStringSubmatch(list, -1)
	if len(promises) != 18 {
		t.Errorf("the list has %d promises, want 18", len(promises))
	}
	for i, p := range promises {
		if want := fmt.Sprintf("P%d", i+1); p[1] != want {
			t.Errorf("promise %d is %s", i+1, p[1])
		}
	}
	for i, about := range regexp.MustCompile(`(?m)^//\tP\d+ `).Split(list, -1)[1:] {
		if !regexp.MustCompile(`"[^"]+"|Test|Fuzz`).MatchString(about) {
			t.Errorf("P%d names no test", i+1)
		}
		for _, name := range missing(t, about) {
			t.Errorf("P%d names %s, which does not exist", i+1, name)
		}
	}
}

// missing lists what a text names and nobody has: scenarios in quotes, tests
// and their files after the folder they are in.
func missing(t *testing.T, text string) (names []string) {
	t.Helper()
	all := named(t)
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(all, m[1]) {
			names = append(names, m[1])
		}
	}
	folder := ""
	for _, word := range regexp.MustCompile(`\S+`).FindAllString(text, -1) {
		switch {
		case word == "cmd" || strings.HasPrefix(word, "internal/"):
			folder = word
		case strings.HasPrefix(word, "Test") || strings.HasPrefix(word, "Fuzz"):
			if !strings.Contains(tests(t, folder), "\nfunc "+word+"(") {
				names = append(names, folder+" "+word)
			}
		case strings.HasSuffix(word, "_test.go"):
			if _, err := os.Stat(filepath.Join("../..", folder, word)); err != nil {
				names = append(names, folder+" "+word)
			}
		}
	}
	return names
}

// named are the names of all scenarios, which another build compiles.
func named(t *testing.T) (names []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`\{name: "([^"]+)"`).FindAllStringSubmatch(tests(t, "internal/chaos"), -1) {
		names = append(names, m[1])
	}
	return names
}

// tests is the text of all test files in a folder.
func tests(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		all.WriteString("\n" + read(t, file))
	}
	return all.String()
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTheListIsReallyRead plants what is not there.
func TestTheListIsReallyRead(t *testing.T) {
	t.Parallel()
	got := missing(t, `"no such scenario" "postmaster killed" cmd TestNothing internal/app TestAppendAnswers TestEveryViewObeysTheLaws nothing_test.go canary_test.go`)
	want := []string{"no such scenario", "cmd TestNothing", "internal/app TestEveryViewObeysTheLaws", "internal/app nothing_test.go"}
	if !slices.Equal(got, want) {
		t.Errorf("missing are %q, want %q", got, want)
	}
}
