package app

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/uptrace/bun"

	"onepg/internal/config"
	"onepg/internal/fault"
	"onepg/internal/migrate"
	"onepg/internal/postgres"
	"onepg/internal/postgres/embedded"
	"onepg/migrations"
)

// Database is the PostgreSQL that the configuration names, or the embedded one
// while it is used.
type Database struct {
	// URL is for queries. ListenURL is for what needs a session of its own, which
	// no pooler takes away: LISTEN, the lock of migrations, and rebuilds, which no
	// timeout of another session may end.
	URL, ListenURL string

	server *embedded.Server // nil when the configuration names a database
}

// OpenDatabase finds the database. With none configured it starts or joins the
// embedded one, which stops when its last user is gone. watcher is the command
// that sees to this even when the process is killed; it may be nil.
func OpenDatabase(ctx context.Context, c *config.Config, logger *slog.Logger, watcher []string) (*Database, error) {
	if url := c.Database.URL.Reveal(); url != "" {
		return &Database{URL: url, ListenURL: c.Database.ListenURL.Reveal()}, nil
	}
	server, err := embedded.Start(ctx, embedded.Options{
		DataDir: c.Database.DataDir, BinDir: c.Database.BinDir, Logger: logger, Watcher: watcher,
	})
	if err != nil {
		return nil, fmt.Errorf("start the embedded PostgreSQL: %w", err)
	}
	return &Database{URL: server.URL(), ListenURL: server.URL(), server: server}, nil
}

// Supervise brings the embedded PostgreSQL back when it dies, until ctx ends. A
// configured database is somebody else's to look after.
func (d *Database) Supervise(ctx context.Context) {
	if d.server != nil {
		_ = d.server.Supervise(ctx) // ends with ctx and nothing else
	}
}

// Close leaves the embedded database, if it is in use.
func (d *Database) Close() error {
	if d.server == nil {
		return nil
	}
	return d.server.Close()
}

// ForMigrations opens the database with a single patient connection.
func (d *Database) ForMigrations(ctx context.Context) (*bun.DB, error) {
	return postgres.Open(ctx, postgres.Options{URL: d.ListenURL, AppName: "onepg migrate"}.ForMigrations())
}

// forRebuilds is like the pool for migrations, and for the same reasons: an
// index of a large table takes as long as it takes, and a killed process must
// not keep it being made.
func (d *Database) forRebuilds() postgres.Options {
	return postgres.Options{URL: d.ListenURL, AppName: "onepg rebuild"}.ForMigrations()
}

// prepare brings the schema up to date, or insists that somebody does.
func (d *Database) prepare(ctx context.Context, c *config.Config, logger *slog.Logger) error {
	if !c.Database.AutoMigrate {
		return d.insistOnMigrations(ctx)
	}
	return d.withMigrator(ctx, func(m *migrate.Migrator) error {
		applied, err := m.Up(ctx)
		if len(applied) > 0 {
			logger.InfoContext(ctx, "migrations applied", slog.Any("names", applied))
		}
		return err
	})
}

// insistOnMigrations refuses a database whose schema is not up to date.
func (d *Database) insistOnMigrations(ctx context.Context) error {
	return d.withMigrator(ctx, func(m *migrate.Migrator) error {
		pending, err := m.Pending(ctx)
		if err == nil && len(pending) > 0 {
			err = fault.New(fault.Unavailable, "migrations-pending",
				fmt.Sprintf("%d migrations are not applied. Run `app migrate up`, or set APP_AUTO_MIGRATE=true.", len(pending)))
		}
		return err
	})
}

func (d *Database) withMigrator(ctx context.Context, f func(*migrate.Migrator) error) error {
	db, err := d.ForMigrations(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // nothing is pending on it
	migrator, err := migrate.New(db, migrations.FS, migrate.Options{})
	if err != nil {
		return err
	}
	return f(migrator)
}
