package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/uptrace/bun"

	"onepg/internal/migrate"
)

// migrateDeps is what the migrate commands take from the program around them.
type migrateDeps struct {
	// open gives the database to migrate, opened with
	// postgres.Options.ForMigrations, and what to call when done with it.
	open func(*cobra.Command) (*bun.DB, func() error, error)
	// files are the migrations of this binary; dir is where create writes the
	// next one, in the source tree.
	files fs.FS
	dir   string
	now   func() time.Time
}

// newMigrate is "app migrate".
func newMigrate(deps migrateDeps) *cobra.Command {
	group := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema to the state this binary needs",
		Long: `Bring the database's schema to the state this binary needs, and back.

The migrations are part of the binary. Each runs in one transaction together with
the note that it ran, so a migrator that is killed leaves nothing half done: run it
again. Several may be started at once; one works and the others wait for it.`,
		Example: `  app migrate status
  app migrate up
  app migrate create add_user_phone`,
		Args: cobra.NoArgs,
	}
	group.AddCommand(
		newMigrateInit(deps), newMigrateUp(deps), newMigrateDown(deps),
		newMigrateStatus(deps), newMigrateCreate(deps), newMigrateUnlock(deps))
	return group
}

func newMigrateInit(deps migrateDeps) *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Create the tables that note what was applied",
		Long: `Create the tables that note which migrations were applied. "up" does this itself;
on its own it is for a database that another role prepares. Running it again
changes nothing.`,
		Example: `  app migrate init`,
		Args:    cobra.NoArgs,
		RunE: deps.run(func(c *cobra.Command, m *migrate.Migrator) error {
			if err := m.Init(c.Context()); err != nil {
				return err
			}
			return printLine(c, "The migration tables are ready.")
		}),
	}
}

func newMigrateUp(deps migrateDeps) *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Apply every migration that is not applied yet",
		Long: `Apply every migration that is not applied yet, oldest first. What one run applies is
a group, which "down" reverts as a whole.

A migration waits two seconds for a table that is in use, gives way to the traffic and
tries again. If one fails, those before it stay applied.`,
		Example: `  app migrate up
  APP_DATABASE_URL=postgres://app@db.example.com/app app migrate up`,
		Args: cobra.NoArgs,
		RunE: deps.runOn(func(c *cobra.Command, m *migrate.Migrator, db *bun.DB) error {
			done, err := m.Up(c.Context())
			if err == nil {
				err = adviseOnRole(c, db)
			}
			return reportDone(c, "applied", done, "Nothing to apply: the schema is up to date.", err)
		}),
	}
}

func newMigrateDown(deps migrateDeps) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Revert the last group of migrations",
		Long: `Revert the last group of migrations, newest first. It does not ask, and what the
reverted migrations created is dropped with its data; "status" shows the groups.

A group with a migration of a newer version of this program is left alone.`,
		Example: `  app migrate status
  app migrate down`,
		Args: cobra.NoArgs,
		RunE: deps.run(func(c *cobra.Command, m *migrate.Migrator) error {
			done, err := m.Down(c.Context())
			return reportDone(c, "reverted", done, "Nothing to revert: no migration is applied.", err)
		}),
	}
}

func newMigrateStatus(deps migrateDeps) *cobra.Command {
	status := &cobra.Command{
		Use:   "status",
		Short: "List the migrations and where each stands",
		Long: `List the migrations and where each stands: applied, pending, or unknown, which means
that another version of this program applied it. Nothing is changed.`,
		Example: `  app migrate status
  app migrate status --output json`,
		Args: cobra.NoArgs,
	}
	format := outputFlag(status)
	status.RunE = deps.run(func(c *cobra.Command, m *migrate.Migrator) error {
		list, err := m.Status(c.Context())
		if err != nil {
			return err
		}
		return printList(c.OutOrStdout(), *format, list, []column[migrate.Status]{
			{"NAME", func(s migrate.Status) string { return s.Name }},
			{"STATE", func(s migrate.Status) string { return string(s.State) }},
			{"GROUP", func(s migrate.Status) string {
				if s.AppliedAt == nil {
					return ""
				}
				return strconv.FormatInt(s.Group, 10)
			}},
			{"APPLIED AT", func(s migrate.Status) string {
				if s.AppliedAt == nil {
					return ""
				}
				return s.AppliedAt.Format(time.RFC3339)
			}},
		})
	})
	return status
}

func newMigrateCreate(deps migrateDeps) *cobra.Command {
	return &cobra.Command{
		Use:   "create NAME",
		Short: "Write the files of a new, empty migration",
		Long: `Write the files of a new, empty migration into ` + deps.dir + `/: NAME's up file, which makes the
change, and its down file, which undoes it. NAME is lower-case letters, digits and
underscores. No database is needed; run it in the root of the source tree.`,
		Example: `  app migrate create add_user_phone`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			paths, err := migrate.Create(deps.dir, args[0], deps.now())
			if err != nil {
				return err
			}
			for _, path := range paths {
				if err := printLine(c, "created "+path); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newMigrateUnlock(deps migrateDeps) *cobra.Command {
	return &cobra.Command{
		Use:   "unlock",
		Short: "Remove a lock that another migration tool left behind",
		Long: `Remove the lock row that another tool built on bun left behind when it was killed.
This program never leaves one: its lock ends with its connection. Make sure that the
other tool is not running any more.`,
		Example: `  app migrate unlock`,
		Args:    cobra.NoArgs,
		RunE: deps.run(func(c *cobra.Command, m *migrate.Migrator) error {
			removed, err := m.Unlock(c.Context())
			if err != nil {
				return err
			}
			if removed {
				return printLine(c, "Removed the lock another tool had left.")
			}
			return printLine(c, "There was no lock to remove.")
		}),
	}
}

// adviseOnRole says what to do where the migrating role could not make the one
// for servers. Why here: the driver drops the warning that the migration raises.
func adviseOnRole(c *cobra.Command, db *bun.DB) error {
	var missing bool
	err := db.NewRaw("SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'onepg_server')").Scan(c.Context(), &missing)
	if err != nil {
		return fmt.Errorf("look for the role onepg_server: %w", err)
	}
	if missing {
		_, err = fmt.Fprintln(c.ErrOrStderr(), `The role onepg_server, with which a server can do nothing to what is recorded, could not be made:
that takes CREATEROLE. All works without it, with servers that run as the owner. To have it,
let a role that may do: CREATE ROLE onepg_server NOLOGIN; then, as the owner: SELECT grant_server_rights();`)
	}
	if err != nil {
		return fmt.Errorf("write the advice: %w", err)
	}
	return nil
}

// run opens the database for a command, hands it a Migrator, and closes the
// database whatever happens.
func (d migrateDeps) run(do func(*cobra.Command, *migrate.Migrator) error) func(*cobra.Command, []string) error {
	return d.runOn(func(c *cobra.Command, m *migrate.Migrator, _ *bun.DB) error { return do(c, m) })
}

// runOn is run for a command that has something to ask the database itself.
func (d migrateDeps) runOn(do func(*cobra.Command, *migrate.Migrator, *bun.DB) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) (err error) {
		db, closeDB, err := d.open(c)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeDB()) }()
		m, err := migrate.New(db, d.files, migrate.Options{})
		if err != nil {
			return err
		}
		return do(c, m, db)
	}
}

// reportDone prints what was done, also before a failure, or that there was nothing.
func reportDone(c *cobra.Command, verb string, done []string, nothing string, err error) error {
	if err == nil && len(done) == 0 {
		return printLine(c, nothing)
	}
	for _, name := range done {
		err = errors.Join(err, printLine(c, verb+" "+name))
	}
	return err
}
