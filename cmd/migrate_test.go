package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/spf13/cobra"
	"github.com/uptrace/bun"

	"onepg/internal/migrate"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// migrateDepsAt migrates the database at url with one migration.
func migrateDepsAt(url string) migrateDeps {
	return migrateDeps{
		open: func(c *cobra.Command) (*bun.DB, func() error, error) {
			db, err := postgres.Open(c.Context(), postgres.Options{URL: url}.ForMigrations())
			if err != nil {
				return nil, nil, err
			}
			return db, db.Close, nil
		},
		files: fstest.MapFS{
			"20260101000000_one.tx.up.sql":   {Data: []byte("CREATE TABLE one (id int)")},
			"20260101000000_one.tx.down.sql": {Data: []byte("DROP TABLE one")},
		},
		dir: "migrations",
		now: func() time.Time { return time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC) },
	}
}

// migrateOutput runs "app migrate" with the arguments.
func migrateOutput(t *testing.T, deps migrateDeps, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	command := newMigrate(deps)
	command.SilenceErrors, command.SilenceUsage = true, true
	command.SetOut(&out)
	command.SetArgs(args)
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func TestMigrateCommandsSayWhatTheyDid(t *testing.T) {
	t.Parallel()
	deps := migrateDepsAt(pgtest.Empty(t))
	for _, step := range []struct{ command, want string }{
		{"status", "20260101000000_one  pending"},
		{"init", "The migration tables are ready.\n"},
		{"up", "applied 20260101000000_one\n"},
		{"up", "Nothing to apply: the schema is up to date.\n"},
		{"status", "20260101000000_one  applied  1"},
		{"down", "reverted 20260101000000_one\n"},
		{"down", "Nothing to revert: no migration is applied.\n"},
		{"unlock", "There was no lock to remove.\n"},
	} {
		out, err := migrateOutput(t, deps, step.command)
		if err != nil || !strings.Contains(out, step.want) {
			t.Errorf("%s: got %q, want %q: %v", step.command, out, step.want, err)
		}
	}
}

func TestMigrateStatusAsJSONIsAList(t *testing.T) {
	t.Parallel()
	deps := migrateDepsAt(pgtest.Empty(t))
	out, err := migrateOutput(t, deps, "status", "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var list []migrate.Status
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 || list[0].State != migrate.Pending {
		t.Errorf("got %s: %v", out, err)
	}
	deps.files = fstest.MapFS{}
	if out, err := migrateOutput(t, deps, "status", "-o", "json"); err != nil || out != "[]\n" {
		t.Errorf("no migrations: got %q: %v", out, err)
	}
	if _, err := migrateOutput(t, deps, "status", "--output", "yaml"); err == nil {
		t.Error("an unknown format was accepted")
	}
}

func TestMigrateUpReportsWhatWasAppliedBeforeAFailure(t *testing.T) {
	t.Parallel()
	deps := migrateDepsAt(pgtest.Empty(t))
	deps.files = fstest.MapFS{
		"20260101000000_one.tx.up.sql":   {Data: []byte("CREATE TABLE one (id int)")},
		"20260101000000_one.tx.down.sql": {Data: []byte("DROP TABLE one")},
		"20260102000000_two.tx.up.sql":   {Data: []byte("SELECT 1/0")},
		"20260102000000_two.tx.down.sql": {},
	}
	out, err := migrateOutput(t, deps, "up")
	if out != "applied 20260101000000_one\n" || err == nil || !strings.Contains(err.Error(), "20260102000000_two") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestMigrateCreateNeedsNoDatabase(t *testing.T) {
	t.Parallel()
	deps := migrateDeps{
		open: func(*cobra.Command) (*bun.DB, func() error, error) { return nil, nil, errors.New("opened") },
		dir:  t.TempDir(), now: migrateDepsAt("").now,
	}
	out, err := migrateOutput(t, deps, "create", "add_phone")
	if err != nil || !strings.Contains(out, "created "+deps.dir+"/20260203040506_add_phone.tx.down.sql") {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := os.Stat(deps.dir + "/20260203040506_add_phone.tx.up.sql"); err != nil {
		t.Error(err)
	}
	if _, err := migrateOutput(t, deps, "create"); err == nil {
		t.Error("created without a name")
	}
	if _, err := migrateOutput(t, deps, "up"); err == nil || err.Error() != "opened" {
		t.Errorf("up without a database: %v", err)
	}
}
