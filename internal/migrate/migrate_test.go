package migrate_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/goleak"

	"onepg/internal/fault"
	"onepg/internal/migrate"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
	"onepg/migrations"
)

func TestMain(m *testing.M) {
	if url := os.Getenv("ONEPG_TEST_MIGRATE"); url != "" {
		os.Exit(migrateInChild(url, os.Getenv("ONEPG_TEST_FILES")))
	}
	goleak.VerifyTestMain(m)
}

// migrateInChild is the second process of the tests: it applies what lies in
// dir and exits.
func migrateInChild(url, dir string) int {
	ctx := context.Background()
	db, err := postgres.Open(ctx, postgres.Options{URL: url, AppName: "child"}.ForMigrations())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	m, err := migrate.New(db, os.DirFS(dir), migrate.Options{})
	if err == nil {
		_, err = m.Up(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func child(t *testing.T, url string, files fstest.MapFS) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	for name, file := range files {
		if err := os.WriteFile(dir+"/"+name, file.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "ONEPG_TEST_MIGRATE="+url, "ONEPG_TEST_FILES="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

func pool(t *testing.T, o postgres.Options) *bun.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func migrator(t *testing.T, url string, files fs.FS, o migrate.Options) *migrate.Migrator {
	t.Helper()
	m, err := migrate.New(pool(t, postgres.Options{URL: url}.ForMigrations()), files, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// files makes a file system of up and down pairs: name, up, down, and so on.
func files(parts ...string) fstest.MapFS {
	all := fstest.MapFS{}
	for part := range slices.Chunk(parts, 3) {
		all[part[0]+".tx.up.sql"] = &fstest.MapFile{Data: []byte(part[1])}
		all[part[0]+".tx.down.sql"] = &fstest.MapFile{Data: []byte(part[2])}
	}
	return all
}

func twoTables() fstest.MapFS {
	return files(
		"20260101000000_one", "CREATE TABLE one (id int CONSTRAINT one_pk PRIMARY KEY)", "DROP TABLE one",
		"20260102000000_two", "CREATE TABLE two (id int REFERENCES one)", "DROP TABLE two")
}

func count(t *testing.T, db bun.IDB, query string) int {
	t.Helper()
	var n int
	if err := db.NewRaw(query).Scan(t.Context(), &n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// sleepers counts the sessions of the database that are inside pg_sleep.
func sleepers(t *testing.T, db bun.IDB) int {
	t.Helper()
	return count(t, db, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event = 'PgSleep'`)
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("got %v, want the code %s", err, code)
	}
}

func TestUpAppliesWhatIsPendingOnce(t *testing.T) {
	t.Parallel()
	m := migrator(t, pgtest.Empty(t), twoTables(), migrate.Options{})
	if pending, err := m.Pending(t.Context()); err != nil || len(pending) != 2 {
		t.Fatal(pending, err)
	}
	done, err := m.Up(t.Context())
	if want := []string{"20260101000000_one", "20260102000000_two"}; err != nil || !slices.Equal(done, want) {
		t.Fatal(done, err)
	}
	if done, err := m.Up(t.Context()); err != nil || len(done) != 0 {
		t.Fatal(done, err)
	}
	if pending, err := m.Pending(t.Context()); err != nil || len(pending) != 0 {
		t.Fatal(pending, err)
	}
}

func TestUpDownUpGivesTheSameSchema(t *testing.T) {
	t.Parallel()
	for what, files := range map[string]fs.FS{"two tables": twoTables(), "the program's own": migrations.FS} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			upDownUp(t, files)
		})
	}
}

func upDownUp(t *testing.T, files fs.FS) {
	t.Helper()
	url := pgtest.Empty(t)
	m := migrator(t, url, files, migrate.Options{})
	schema := func() string { return dump(t, url) }
	if _, err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := schema()
	if done, err := m.Down(t.Context()); err != nil || len(done) < 2 {
		t.Fatal(done, err)
	}
	if strings.Contains(schema(), "CREATE ") {
		t.Errorf("down left something:\n%s", schema())
	}
	if _, err := m.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if second := schema(); first != second || !strings.Contains(second, "CREATE TABLE public.") {
		t.Errorf("schemas differ:\n%s\n%s", first, second)
	}
}

func dump(t *testing.T, url string) string {
	t.Helper()
	// pgdriver's URL names the socket, libpq's its directory.
	url = strings.Replace(url, "%2F.s.PGSQL.5432", "", 1)
	out, err := exec.CommandContext(t.Context(), "pg_dump", "--schema-only", "--no-owner", "--exclude-table=bun_*", url).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// Some releases write a random key into these lines.
	lines := slices.DeleteFunc(strings.Split(string(out), "\n"), func(line string) bool {
		return strings.HasPrefix(line, `\restrict`) || strings.HasPrefix(line, `\unrestrict`)
	})
	return strings.Join(lines, "\n")
}

func TestDownRevertsTheLastGroupOnly(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	one := twoTables()
	delete(one, "20260102000000_two.tx.up.sql")
	delete(one, "20260102000000_two.tx.down.sql")
	if _, err := migrator(t, url, one, migrate.Options{}).Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	both := migrator(t, url, twoTables(), migrate.Options{})
	if _, err := both.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{"20260102000000_two"}, {"20260101000000_one"}, nil} {
		if done, err := both.Down(t.Context()); err != nil || !slices.Equal(done, want) {
			t.Fatalf("reverted %v, want %v: %v", done, want, err)
		}
	}
}

func TestAFailingMigrationLeavesNothingHalfApplied(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	broken := twoTables()
	broken["20260102000000_two.tx.up.sql"].Data = []byte(
		"CREATE TABLE two (id int);\n--bun:split\nCREATE TABLE three (id int);\n--bun:split\nSELECT 1/0;")
	done, err := migrator(t, url, broken, migrate.Options{}).Up(t.Context())
	if postgres.SQLState(err) != "22012" || !strings.Contains(err.Error(), "20260102000000_two") {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(done, []string{"20260101000000_one"}) {
		t.Errorf("reported %v", done)
	}
	db := pool(t, postgres.Options{URL: url})
	if n := count(t, db, "SELECT count(*) FROM pg_tables WHERE tablename IN ('two', 'three')"); n != 0 {
		t.Errorf("%d tables of the failed migration", n)
	}
	if n := count(t, db, "SELECT count(*) FROM bun_migrations"); n != 1 {
		t.Errorf("%d migrations noted", n)
	}
	if _, err := migrator(t, url, twoTables(), migrate.Options{}).Up(t.Context()); err != nil {
		t.Errorf("after the correction: %v", err)
	}
}

func TestAMigrationWhoseNoteFailsIsUndone(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	m := migrator(t, url, twoTables(), migrate.Options{})
	if err := m.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	db := pool(t, postgres.Options{URL: url})
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE bun_migrations ADD CONSTRAINT full_up CHECK (false)"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context()); postgres.SQLState(err) != "23514" {
		t.Errorf("got %v", err)
	}
	if n := count(t, db, "SELECT count(*) FROM pg_tables WHERE tablename = 'one'"); n != 0 {
		t.Error("applied without its note")
	}
}

func TestManyMigratorsAtOnceApplyEachMigrationOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	slow := twoTables()
	slow["20260101000000_one.tx.up.sql"].Data = []byte("CREATE TABLE one (id int PRIMARY KEY); SELECT pg_sleep(0.3)")
	children := []*exec.Cmd{child(t, url, slow), child(t, url, slow)}
	for _, c := range children {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	applied := make([]int, 8)
	for i := range applied {
		m := migrator(t, url, slow, migrate.Options{})
		wg.Go(func() {
			done, err := m.Up(t.Context())
			if err != nil {
				t.Error(err)
			}
			applied[i] = len(done)
		})
	}
	wg.Wait()
	for _, c := range children {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	if n := count(t, pool(t, postgres.Options{URL: url}), "SELECT count(*) FROM bun_migrations"); n != 2 {
		t.Errorf("%d notes of 2 migrations; here each goroutine applied %v", n, applied)
	}
}

func TestAKilledMigratorLeavesNothingToCleanUp(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	hanging := twoTables()
	hanging["20260102000000_two.tx.up.sql"].Data = []byte("CREATE TABLE two (id int REFERENCES one); SELECT pg_sleep(600)")
	victim := child(t, url, hanging)
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	db := pool(t, postgres.Options{URL: url})
	eventually(t, "the child is inside its migration", func() bool { return sleepers(t, db) == 1 })
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := victim.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	done, err := migrator(t, url, twoTables(), migrate.Options{LockWait: 20 * time.Second}).Up(t.Context())
	if err != nil || !slices.Equal(done, []string{"20260102000000_two"}) {
		t.Fatal(done, err)
	}
}
