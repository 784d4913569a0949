// Package migrate brings a database's schema to the state the binary needs. It
// keeps the file format and the table of bun/migrate, and replaces its runner,
// which loses track when it is killed.
//
// What it guarantees:
//
//   - A migration and the note that it ran are one transaction. A kill at any
//     moment leaves both or neither, and the next run goes on from there. (bun
//     notes first and runs later, or the other way round.)
//   - Any number of migrators may start at once: one works, the others wait and
//     then find nothing to do. The lock is an advisory lock of one session, so it
//     is gone when its holder is. (bun's lock is a row that survives a crash.)
//   - Live traffic is not held up: a migration waits two seconds for a table
//     lock, gives way, and tries again.
//   - Migrations this binary does not know, applied by a newer replica, are
//     shown by [Migrator.Status] and left alone.
//
// It does not check that a released file stayed as it was, and a file without
// ".tx." is not atomic: see package migrations for the rules.
//
// Up, Down and Init need a pool opened with postgres.Options.ForMigrations;
// the methods that only look work with any. A direct connection is needed: with
// a pooler in transaction mode between, the session that runs is not the
// session that locked, which is noticed and refused.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	bunmigrate "github.com/uptrace/bun/migrate"

	"onepg/internal/fault"
	"onepg/internal/postgres"
)

// Options bound the waits of a [Migrator]; zero fields mean their defaults.
type Options struct {
	// LockWait is how long to wait for another migrator, one minute by default.
	LockWait time.Duration
	// Tries is how often a migration runs that found its table locked by live
	// traffic, ten by default. RetryPause is the longest pause between, two
	// seconds by default.
	Tries      int
	RetryPause time.Duration
}

// Migrator applies and reverts the migrations of one file system to one
// database. It keeps no state of its own between calls.
type Migrator struct {
	db    *bun.DB
	files fs.FS
	known bunmigrate.MigrationSlice // ascending, each with Up and Down
	o     Options
}

// New reads the names of the migrations in files, which lie flat at its root.
// It fails if a name is not of the form YYYYMMDDHHMMSS_name, if two have the
// same time, or if a migration lacks its up or its down.
func New(db *bun.DB, files fs.FS, o Options) (*Migrator, error) {
	found := bunmigrate.NewMigrations()
	if err := found.Discover(files); err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	known := found.Sorted()
	for i := range known {
		if len(known[i].Name) != len(stampLayout) {
			return nil, fmt.Errorf("migration %s: the name must begin with YYYYMMDDHHMMSS", known[i])
		}
		if known[i].Up == nil || known[i].Down == nil {
			return nil, fmt.Errorf("migration %s: both an up and a down file are needed", known[i])
		}
	}
	if o.LockWait <= 0 {
		o.LockWait = time.Minute
	}
	if o.Tries <= 0 {
		o.Tries = 10
	}
	if o.RetryPause <= 0 {
		o.RetryPause = 2 * time.Second
	}
	return &Migrator{db: db, files: files, known: known, o: o}, nil
}

// Init creates the table that notes what was applied, and bun's lock table. Up
// does so itself; on its own Init is for a role that prepares a database.
func (m *Migrator) Init(ctx context.Context) error {
	return m.locked(ctx, func() error { return m.createTables(ctx) })
}

// Up applies every migration that is not applied yet, oldest first, as one
// group. It returns the names of those it applied, also when a later one fails:
// what is in the list stays applied.
func (m *Migrator) Up(ctx context.Context) ([]string, error) {
	var done []string
	err := m.locked(ctx, func() error {
		if err := m.prepare(ctx); err != nil {
			return err
		}
		applied, err := m.applied(ctx)
		if err != nil {
			return err
		}
		group := applied.LastGroupID() + 1
		for _, next := range m.pending(applied) {
			if err := m.apply(ctx, &next, group); err != nil {
				return fmt.Errorf("migration %s: %w", next, err)
			}
			done = append(done, next.String())
		}
		return nil
	})
	return done, err
}

// Down reverts the last group, newest first, and returns the names of those it
// reverted. It fails with the code "migration-unknown", and reverts nothing, if
// the group holds a migration of a newer binary.
func (m *Migrator) Down(ctx context.Context) ([]string, error) {
	var done []string
	err := m.locked(ctx, func() error {
		if err := m.prepare(ctx); err != nil {
			return err
		}
		last, err := m.lastGroup(ctx)
		if err != nil {
			return err
		}
		for _, next := range slices.Backward(last) {
			if err := m.revert(ctx, &next); err != nil {
				return fmt.Errorf("migration %s: %w", next, err)
			}
			done = append(done, next.String())
		}
		return nil
	})
	return done, err
}

// lastGroup lists the migrations of the last group, oldest first.
func (m *Migrator) lastGroup(ctx context.Context) (bunmigrate.MigrationSlice, error) {
	applied, err := m.applied(ctx)
	if err != nil {
		return nil, err
	}
	var group bunmigrate.MigrationSlice
	for _, row := range applied.LastGroup().Migrations {
		i, ok := m.find(row.Name)
		if !ok {
			return nil, fault.New(fault.Conflict, "migration-unknown", fmt.Sprintf(
				"Migration %s was applied by another version of this program; revert it with that version.", row.Name))
		}
		group = append(group, m.known[i])
	}
	slices.SortFunc(group, byName)
	return group, nil
}

// Pending lists the names of the migrations this binary needs and the database
// lacks, oldest first. It only reads, and does so quickly enough for a
// readiness probe.
func (m *Migrator) Pending(ctx context.Context) ([]string, error) {
	applied, err := m.applied(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, next := range m.pending(applied) {
		names = append(names, next.String())
	}
	return names, nil
}

func (m *Migrator) pending(applied bunmigrate.MigrationSlice) bunmigrate.MigrationSlice {
	return slices.DeleteFunc(slices.Clone(m.known), func(k bunmigrate.Migration) bool {
		return slices.ContainsFunc(applied, func(a bunmigrate.Migration) bool { return a.Name == k.Name })
	})
}

// applied reads the table of notes. No table means that nothing was applied.
func (m *Migrator) applied(ctx context.Context) (bunmigrate.MigrationSlice, error) {
	const undefinedTable = "42P01"
	rows, err := bunmigrate.NewMigrator(m.db, bunmigrate.NewMigrations()).AppliedMigrations(ctx)
	switch {
	case postgres.SQLState(err) == undefinedTable:
		return nil, nil
	case err != nil:
		return nil, postgres.Fault(fmt.Errorf("read the applied migrations: %w", err))
	}
	return rows, nil
}

func (m *Migrator) find(name string) (int, bool) {
	return slices.BinarySearchFunc(m.known, name, func(k bunmigrate.Migration, want string) int {
		return strings.Compare(k.Name, want)
	})
}

func byName(a, b bunmigrate.Migration) int { return strings.Compare(a.Name, b.Name) }

// prepare makes sure that the tables are there and that no other tool is at
// work.
func (m *Migrator) prepare(ctx context.Context) error {
	if err := m.createTables(ctx); err != nil {
		return err
	}
	return m.refuseForeignLock(ctx)
}

func (m *Migrator) createTables(ctx context.Context) error {
	// Upsert is what makes bun put a unique index on the name.
	b := bunmigrate.NewMigrator(m.db, bunmigrate.NewMigrations(), bunmigrate.WithUpsert(true))
	err := b.Init(ctx)
	if postgres.IsForbidden(err) {
		return fault.Wrap(err, fault.Forbidden, "not-the-owner", "This role may not make tables in the schema. Migrate as its owner.")
	}
	if err != nil {
		return postgres.Fault(fmt.Errorf("create the migration tables: %w", err))
	}
	return nil
}

// errUnmarked means that the note of a migration was not there to delete.
var errUnmarked = errors.New("it is not noted as applied")
