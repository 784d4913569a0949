package pgtest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/driver/pgdriver"

	"onepg/internal/migrate"
	"onepg/migrations"
)

const (
	templatePrefix = "onepg_template_"
	// keptTemplates is how many templates stay: other worktrees, with other
	// migrations, may be testing at the same time. Each takes about 8 MB.
	keptTemplates = 8
	// templateLock is the advisory lock under which templates are made and
	// dropped; any number that nobody else uses.
	templateLock = 0x6f6e657067
)

// migrateUp applies the migrations to the database.
func migrateUp(ctx context.Context, db *bun.DB) error {
	db.SetMaxOpenConns(1) // the session that holds the migration lock migrates
	migrator, err := migrate.New(db, migrations.FS, migrate.Options{})
	if err != nil {
		return err
	}
	_, err = migrator.Up(ctx)
	return err
}

// clone makes a database with the schema. A template that another process has
// just dropped as too old is made again.
func (s *server) clone(ctx context.Context, name string) error {
	template, err := templateName()
	if err != nil {
		return err
	}
	// Why FILE_COPY: it writes no WAL for each page, and its two checkpoints are
	// cheap without fsync. BenchmarkNew takes half as long as with WAL_LOG.
	statement := "CREATE DATABASE " + name + " TEMPLATE " + template + " STRATEGY FILE_COPY"
	const noSuchDatabase = "3D000"
	for range 3 {
		if err = s.execute(ctx, statement); sqlState(err) != noSuchDatabase {
			return err
		}
		if err = s.with(ctx, func(conn *sql.Conn) error { return s.build(ctx, conn, template) }); err != nil {
			return fmt.Errorf("make a template with the migrations: %w", err)
		}
	}
	return s.execute(ctx, statement)
}

// build makes the template unless it is there by now. It gets its name last,
// so that one that bears it is whole.
func (s *server) build(ctx context.Context, conn *sql.Conn, template string) error {
	// The lock ends with the connection.
	if err := execute(ctx, conn, fmt.Sprintf("SELECT pg_advisory_lock(%d)", templateLock)); err != nil {
		return err
	}
	existing, err := databases(ctx, conn, templatePrefix)
	if err != nil || slices.Contains(existing, template) {
		return err
	}
	const draft = "onepg_draft"
	err = execute(ctx, conn,
		"DROP DATABASE IF EXISTS "+draft+" WITH (FORCE)", "CREATE DATABASE "+draft+" TEMPLATE template0")
	if err != nil {
		return err
	}
	db := bun.NewDB(openDB(s.database(draft)), pgdialect.New())
	if err = errors.Join(migrateUp(ctx, db), db.Close()); err != nil {
		return err
	}
	err = execute(ctx, conn,
		// Why no connections: even autovacuum's would refuse a copy.
		"ALTER DATABASE "+draft+" ALLOW_CONNECTIONS false", "ALTER DATABASE "+draft+" RENAME TO "+template)
	if err != nil {
		return err
	}
	for _, old := range existing[min(len(existing), keptTemplates-1):] {
		if err = execute(ctx, conn, "DROP DATABASE IF EXISTS "+old+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}

// templateName depends on every migration's name and content.
func templateName() (string, error) {
	hash := sha256.New()
	err := fs.WalkDir(migrations.FS, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(migrations.FS, name)
		fmt.Fprintf(hash, "%q %d\n%s", name, len(content), content)
		return err //nolint:wrapcheck // Wrapped below.
	})
	if err != nil {
		return "", fmt.Errorf("read the migrations: %w", err)
	}
	return fmt.Sprintf("%s%x", templatePrefix, hash.Sum(nil)[:8]), nil
}

// sqlState gives PostgreSQL's code of an error, or nothing.
func sqlState(err error) string {
	var refusal pgdriver.Error
	if errors.As(err, &refusal) {
		return refusal.Field('C')
	}
	return ""
}
