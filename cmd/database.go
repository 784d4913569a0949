package cmd

import (
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"github.com/uptrace/bun"

	"onepg/internal/app"
	"onepg/internal/config"
	"onepg/migrations"
)

// withDatabase reads the settings and finds the database they name, starting or
// joining the embedded one if they name none. The caller closes it. The settings
// come back with a log that tells of trouble only.
func withDatabase(c *cobra.Command) (*app.Database, *config.Config, error) {
	settings, err := config.Load(c.Flags())
	if err != nil {
		return nil, nil, err
	}
	// A command speaks for itself; that a server came and went is no news.
	settings.Log.Level = max(settings.Log.Level, slog.LevelWarn)
	database, err := openDatabase(c, settings)
	return database, settings, err
}

// openDatabase is withDatabase for a command that has read the settings.
func openDatabase(c *cobra.Command, settings *config.Config) (*app.Database, error) {
	watcher, err := watchCommand()
	if err != nil {
		return nil, err
	}
	return app.OpenDatabase(c.Context(), settings, settings.Log.Logger(c.ErrOrStderr()), watcher)
}

// migrationDeps says what the migrate commands work with.
func migrationDeps() migrateDeps {
	return migrateDeps{
		files: migrations.FS, dir: "migrations",
		now: func() time.Time { return time.Now() }, //nolint:forbidigo // the name of a new file
		open: func(c *cobra.Command) (*bun.DB, func() error, error) {
			database, _, err := withDatabase(c)
			if err != nil {
				return nil, nil, err
			}
			db, err := database.ForMigrations(c.Context())
			if err != nil {
				return nil, nil, errors.Join(err, database.Close())
			}
			return db, func() error { return errors.Join(db.Close(), database.Close()) }, nil
		},
	}
}
