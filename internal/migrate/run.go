package migrate

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"regexp"
	"strings"

	"github.com/uptrace/bun"
	bunmigrate "github.com/uptrace/bun/migrate"

	"onepg/internal/fault"
	"onepg/internal/pause"
	"onepg/internal/postgres"
)

// apply runs a migration's up file and notes it as applied in the group.
func (m *Migrator) apply(ctx context.Context, next *bunmigrate.Migration, group int64) error {
	b := m.runner(func(ctx context.Context, conn bun.IConn, done *bunmigrate.Migration) error {
		if _, err := conn.ExecContext(ctx,
			"INSERT INTO bun_migrations (name, group_id) VALUES (?, ?)", done.Name, group); err != nil {
			return fmt.Errorf("note it as applied: %w", err)
		}
		return nil
	})
	if err := m.check(next, "up"); err != nil {
		return err
	}
	return m.retry(ctx, m.tries(next, ".tx.up.sql"), func() error { return next.Up(ctx, b, next) })
}

// revert runs a migration's down file and deletes its note.
func (m *Migrator) revert(ctx context.Context, next *bunmigrate.Migration) error {
	b := m.runner(func(ctx context.Context, conn bun.IConn, done *bunmigrate.Migration) error {
		result, err := conn.ExecContext(ctx, "DELETE FROM bun_migrations WHERE name = ?", done.Name)
		if err != nil {
			return fmt.Errorf("delete its note: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errUnmarked
		}
		return nil
	})
	if err := m.check(next, "down"); err != nil {
		return err
	}
	return m.retry(ctx, m.tries(next, ".tx.down.sql"), func() error { return next.Down(ctx, b, next) })
}

// runner makes bun's part of the work: read a file, cut it into statements and
// run them, here between two hooks in the same transaction. The first proves
// that this session holds the lock, the last writes the note.
func (m *Migrator) runner(mark bunmigrate.MigrationHook) *bunmigrate.Migrator {
	return bunmigrate.NewMigrator(m.db, bunmigrate.NewMigrations(),
		bunmigrate.BeforeMigration(proveLock), bunmigrate.AfterMigration(mark))
}

// comments are the lines of a file that only say something.
var comments = regexp.MustCompile(`(?m)^\s*--.*$`)

// check refuses a migration's up or down file, or a part of it, that has only
// comments, as Create leaves it: PostgreSQL would find it empty.
func (m *Migrator) check(next *bunmigrate.Migration, direction string) error {
	names, err := fs.Glob(m.files, next.String()+".*"+direction+".sql")
	if err != nil {
		return fmt.Errorf("look for the %s file: %w", direction, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(m.files, name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		for part := range strings.SplitSeq(string(text), "--bun:split") {
			if strings.TrimSpace(part) != "" && strings.TrimSpace(comments.ReplaceAllString(part, "")) == "" {
				return fault.New(fault.Invalid, "migration-empty",
					"The file "+name+" has a part without a statement. Write it, or SELECT 1; where there is nothing to do.")
			}
		}
	}
	return nil
}

// tries is how often a file may run, given the suffix of one that runs in a
// transaction. Any other runs once: what it did before it failed is still there.
func (m *Migrator) tries(next *bunmigrate.Migration, suffix string) int {
	if _, err := fs.Stat(m.files, next.String()+suffix); err != nil {
		return 1
	}
	return m.o.Tries
}

// retry repeats a step that live traffic kept from its locks.
func (m *Migrator) retry(ctx context.Context, tries int, step func() error) error {
	for try := 1; ; try++ {
		err := step()
		again := postgres.IsLockTimeout(err) || postgres.Retryable(err)
		if !again || try == tries || !pause.For(ctx, rand.N(m.o.RetryPause)) { //nolint:gosec // jitter
			return postgres.Fault(err)
		}
	}
}
