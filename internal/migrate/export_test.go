package migrate

import (
	"context"

	bunmigrate "github.com/uptrace/bun/migrate"
)

// LockRow locks the way bun's own tools do.
func (m *Migrator) LockRow(ctx context.Context) error {
	return bunmigrate.NewMigrator(m.db, bunmigrate.NewMigrations()).Lock(ctx)
}
