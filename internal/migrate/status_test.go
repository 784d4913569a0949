package migrate_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"onepg/internal/fault"
	"onepg/internal/migrate"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

func states(t *testing.T, m *migrate.Migrator) []string {
	t.Helper()
	list, err := m.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, s := range list {
		if (s.State == migrate.Pending) != (s.AppliedAt == nil) {
			t.Errorf("%+v", s)
		}
		words = append(words, s.Name+" "+string(s.State))
	}
	return words
}

func TestStatusTellsPendingAppliedAndUnknownApart(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	newer := migrator(t, url, files("20260102000000_two", "SELECT 2", "SELECT 2", "20260103000000_three", "SELECT 3", "SELECT 3"), migrate.Options{})
	if _, err := newer.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	older := migrator(t, url, files("20260101000000_one", "SELECT 1", "SELECT 1", "20260102000000_two", "SELECT 2", "SELECT 2"), migrate.Options{})
	want := []string{"20260101000000_one pending", "20260102000000_two applied", "20260103000000 unknown"}
	if got := states(t, older); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, err := older.Down(t.Context())
	wantCode(t, err, "migration-unknown")
	if done, err := older.Up(t.Context()); err != nil || !slices.Equal(done, []string{"20260101000000_one"}) {
		t.Errorf("an unknown migration broke up: %v, %v", done, err)
	}
}

func TestStatusOfADatabaseNeverMigratedIsAllPending(t *testing.T) {
	t.Parallel()
	db := pool(t, postgres.Options{URL: pgtest.Empty(t)})
	m, err := migrate.New(db, twoTables(), migrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"20260101000000_one pending", "20260102000000_two pending"}
	if got := states(t, m); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestCreateWritesAPairThatRunsLast(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.FixedZone("east", 3600))
	for _, want := range []string{"20260506060809_add_phone", "20260506060810_add_phone", "20260506060811_add_phone"} {
		paths, err := migrate.Create(dir, "add_phone", now)
		if err != nil {
			t.Fatal(err)
		}
		expected := []string{filepath.Join(dir, want+".tx.up.sql"), filepath.Join(dir, want+".tx.down.sql")}
		if !slices.Equal(paths, expected) {
			t.Errorf("got %v", paths)
		}
	}
	m := migrator(t, pgtest.Empty(t), os.DirFS(dir), migrate.Options{})
	// Nobody has written them yet.
	if _, err := m.Up(t.Context()); !fault.Is(err, "migration-empty") || !strings.Contains(err.Error(), "20260506060809_add_phone.tx.up.sql") {
		t.Errorf("got %v", err)
	}
	if pending, err := m.Pending(t.Context()); err != nil || len(pending) != 3 {
		t.Fatal(pending, err)
	}
}

func TestCreateRefusesNamesThatAreNoFileNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"", "A", "a-b", "a b", "../a", "a/b", "1a", "_a", "ä", "a.sql", strings.Repeat("a", 101)} {
		_, err := migrate.Create(dir, name, time.Now())
		wantCode(t, err, "migration-name-invalid")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left %v, %v", entries, err)
	}
	_, err := migrate.Create(filepath.Join(dir, "nowhere"), "a", time.Now())
	wantCode(t, err, "migration-directory-missing")
}
