package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
	"onepg/internal/verify"
)

// TestVerifySaysWhatIsWrongAndExitsSo goes through text, JSON, ranges, a seal
// kept outside and the exit codes.
func TestVerifySaysWhatIsWrongAndExitsSo(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	app := appOn(t, database)
	if got := app("seal", "export"); got.code != exitFailure || !strings.Contains(got.stderr, "--all") {
		t.Errorf("nothing to export: %+v", got)
	}
	app("events", "append", write(t, newUser(uuid.New(), "Ada"), newUser(uuid.New(), "Bob")))
	app("views", "rebuild", "users")
	app("views", "rebuild", "payment_customers")
	seal := filepath.Join(t.TempDir(), "seal.json")
	exported := app("seal", "export", "--all")
	if err := os.WriteFile(seal, []byte(exported.stdout), 0o600); err != nil || exported.code != exitDone {
		t.Fatalf("%v %+v", err, exported)
	}
	app("events", "append", write(t, newUser(uuid.New(), "Eve")))
	check := func(want int, args ...string) (outcome, verify.Report) {
		t.Helper()
		var report verify.Report
		got := app(append([]string{"verify", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != want {
			t.Errorf("verify %v: %v %+v", args, err, got)
		}
		return got, report
	}
	if got := app("verify", "--seal", seal); got.code != exitDone || got.stderr != "" || got.stdout !=
		"events     3 at positions 1 to 3\nseals      1, up to position 2\nrows       6\nsnapshots  0\n"+agreement+"\n" {
		t.Errorf("all is well: %+v", got)
	}
	if _, r := check(exitDone, "--from", "3", "--sample", "1"); r.From != 3 || r.CheckedTo != 3 || r.Events != 1 || r.Findings == nil {
		t.Errorf("a range: %+v", r)
	}
	db, err := postgres.Open(t.Context(), postgres.Options{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	_, err = db.Exec(`ALTER TABLE events DISABLE TRIGGER ALL; UPDATE events SET actor = 'x' WHERE "position" = 2; ALTER TABLE events ENABLE TRIGGER ALL`)
	if err != nil {
		t.Fatal(err)
	}
	got, r := check(exitFailure)
	if r.FirstBadPosition != 2 || !strings.Contains(got.stderr, "the first bad position is 2") {
		t.Errorf("tampered: %+v", got)
	}
	if got := app("verify"); got.code != exitFailure || !strings.Contains(got.stdout, "findings:\nCHECK ") || !strings.Contains(got.stdout, "\nseals     2 ") || strings.Contains(got.stdout, "agrees") {
		t.Errorf("tampered: %+v", got)
	}
	for want, args := range map[string][]string{
		"--from must not":  {"--from", "3", "--to", "2"},
		"--from":           {"--from", "-1"},
		"--sample":         {"--sample", "-1"},
		"unknown command":  {"everything"},
		"invalid argument": {"--to", "x"},
	} {
		if got := app(append([]string{"verify"}, args...)...); got.code != exitUsage || !strings.Contains(got.stderr, want) || got.stdout != "" {
			t.Errorf("verify %v: %+v", args, got)
		}
	}
	for want, file := range map[string]string{"no such file": "nowhere", "read the seal": write(t, "{}")} {
		if got := app("verify", "--seal", file); got.code != exitFailure || !strings.Contains(got.stderr, want) {
			t.Errorf("verify --seal %s: %+v", file, got)
		}
	}
}
