package cmd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/postgres/pgtest"
)

// appOn runs the binary on a database.
func appOn(t *testing.T, database string) func(args ...string) outcome {
	t.Helper()
	return func(args ...string) outcome {
		t.Helper()
		return invoke(t, []string{"APP_DATABASE_URL=" + database}, args...)
	}
}

// newUser is an event as a file for append has it, in one line.
func newUser(id uuid.UUID, name string) string {
	return fmt.Sprintf(`{"id":%q,"aggregate_id":%q,"name":"user.created","payload":{"name":%q,"email":"a@example.com"}}`, id, uuid.New(), name)
}

// write makes a file for a command to read.
func write(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "events")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestEventsAreAppendedAndReadFromATerminal(t *testing.T) {
	t.Parallel()
	app := appOn(t, pgtest.New(t))
	id := uuid.New()
	file := write(t, newUser(id, "Ada"), "["+newUser(uuid.New(), "Bob")+","+newUser(uuid.New(), "Eve")+"]")
	for _, want := range []string{"3 events recorded, 0 were recorded before; the last position is 3.\n", "0 events recorded, 3 were recorded before; the last position is 3.\n"} {
		if got := app("events", "append", file); got.code != exitDone || got.stdout != want || got.stderr != "" {
			t.Errorf("append: %+v", got)
		}
	}
	document := write(t, "[", newUser(uuid.New(), "Kim"), "]")
	if got := app("events", "append", document, "-o", "json"); got.code != exitDone || !strings.Contains(got.stdout, `"last_position": 4`) {
		t.Errorf("append a document: %+v", got)
	}
	wrong := write(t, newUser(uuid.New(), "Max"), strings.Replace(newUser(uuid.New(), "Max"), "a@example.com", "nobody", 1))
	if got := app("events", "append", wrong); got.code != exitFailure || !strings.Contains(got.stderr, "line 2: ") || !strings.Contains(got.stderr, "/payload/email") {
		t.Errorf("append what is wrong: %+v", got)
	}
	if got := app("events", "list"); strings.Count(got.stdout, "\n") != 5 || !strings.HasPrefix(got.stdout, "POSITION ") || !strings.Contains(got.stdout, "cli:") {
		t.Errorf("list: %+v", got)
	}
	var list []struct {
		ID       uuid.UUID
		Position int
	}
	got := app("events", "list", "--after", "1", "--limit", "2", "--name", "user.created", "--output", "json")
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil || len(list) != 2 || list[0].Position != 2 {
		t.Errorf("list as JSON: %v %+v", err, got)
	}
	var shown struct {
		ID      uuid.UUID
		Payload struct{ Name string }
	}
	got = app("events", "show", id.String())
	if err := json.Unmarshal([]byte(got.stdout), &shown); err != nil || shown.ID != id || shown.Payload.Name != "Ada" {
		t.Errorf("show: %v %+v", err, got)
	}
	if got := app("events", "show", id.String(), "-o", "table"); !strings.Contains(got.stdout, "\nposition        1\n") || !strings.Contains(got.stdout, `{"name":"Ada"`) {
		t.Errorf("show as a table: %+v", got)
	}
	for want, args := range map[string][]string{
		"`app events list`":      {"show", uuid.NewString()},
		"must be a UUID":         {"show", "nonsense"},
		"the id of one event":    {"show"},
		"--limit must be":        {"list", "--limit", "0"},
		"or - for standard":      {"append", "nowhere"},
		"unknown flag: --colour": {"list", "--colour", "x"},
	} {
		code := exitUsage
		if strings.HasPrefix(want, "`app") || strings.HasPrefix(want, "or -") {
			code = exitFailure
		}
		if got := app(append([]string{"events"}, args...)...); got.code != code || !strings.Contains(got.stderr, want) {
			t.Errorf("%v: %+v", args, got)
		}
	}
}

// TestALogIsCopiedToTheByte goes through the binary; what an export must keep is
// tested beside its code.
func TestALogIsCopiedToTheByte(t *testing.T) {
	t.Parallel()
	from, to := appOn(t, pgtest.New(t)), appOn(t, pgtest.New(t))
	from("events", "append", write(t, newUser(uuid.New(), "Ada"), newUser(uuid.New(), "Bob \u2028 <&>")))
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
	if got := from("events", "export", first); got.code != exitDone || got.stdout+got.stderr != "" {
		t.Fatalf("export: %+v", got)
	}
	for _, isNew := range []int{2, 0} {
		want := fmt.Sprintf("2 events read, %d of them new; the last position is 2.\n", isNew)
		if got := to("events", "import", first); got.code != exitDone || got.stdout != want {
			t.Errorf("import: %+v", got)
		}
	}
	to("events", "export", second)
	one, errOne := os.ReadFile(first)
	two, errTwo := os.ReadFile(second)
	if errOne != nil || errTwo != nil || string(one) != string(two) || len(one) == 0 {
		t.Errorf("%q (%v) and %q (%v)", one, errOne, two, errTwo)
	}
	if got := to("events", "export"); got.stdout != string(one) {
		t.Errorf("to standard output: %+v", got)
	}
	if got := to("events", "import"); got.code != exitDone || !strings.HasPrefix(got.stdout, "0 events read") {
		t.Errorf("from standard input, which is empty: %+v", got)
	}
	other := write(t, strings.Replace(string(one), "Ada", "Eve", 1))
	if got := to("events", "import", other); got.code != exitFailure || !strings.Contains(got.stderr, "nothing was written") || !strings.Contains(got.stderr, "position 1 ") {
		t.Errorf("import of another log: %+v", got)
	}
}

// TestATailSurvivesARestartOfTheServer kills the database under it.
func TestATailSurvivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// As root the server runs as another user, who has to pass.
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	env := []string{"APP_DATA_DIR=" + filepath.Join(dir, "data")}
	app := func(args ...string) outcome { t.Helper(); return invoke(t, env, args...) }
	if got := app("migrate", "up"); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	tail := exec.CommandContext(t.Context(), binary, "events", "tail", "--after", "0")
	tail.Dir, tail.Env = dir, append(cleanEnvironment(), env...)
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	for position := 1; position <= 6; position++ {
		if got := app("events", "append", write(t, newUser(uuid.New(), "Ada"))); got.code != exitDone {
			t.Fatalf("%+v", got)
		}
		select {
		case line := <-lines:
			if !strings.Contains(line, fmt.Sprintf(`"position":%d,`, position)) {
				t.Fatalf("position %d came as %s", position, line)
			}
		case <-time.After(time.Minute):
			t.Fatalf("position %d did not come", position)
		}
		if position%2 == 0 {
			killServer(t, filepath.Join(dir, "data", "pgdata", "postmaster.pid"))
		}
	}
	if err := tail.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for line := range lines {
		t.Errorf("%s comes twice", line)
	}
	if err := tail.Wait(); err != nil {
		t.Errorf("the tail did not end cleanly: %v", err)
	}
}

// killServer kills the PostgreSQL that wrote its number into the file.
func killServer(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	number, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
