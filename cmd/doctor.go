package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"onepg/internal/app"
	"onepg/internal/config"
	"onepg/internal/doctor"
	"onepg/migrations"
)

func newDoctor() *cobra.Command {
	check := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why the program does not run, or not well",
		Long: `Looks at what the program needs (binaries, disk, connection, durability settings,
migrations, rights, clocks, LISTEN) and says what it found and what to do. Nothing is
changed, except that the embedded PostgreSQL is started if it is the one to look at.

The exit code is 1 if a check failed. A warning is something that works and could
work better or safer.`,
		Example: "  app doctor\n  app doctor --output json",
		Args:    cobra.NoArgs,
	}
	format := outputFlag(check)
	check.RunE = func(c *cobra.Command, _ []string) (err error) {
		settings, err := config.Load(c.Flags())
		if err != nil {
			return err
		}
		var database *app.Database
		defer func() {
			if database != nil {
				err = errors.Join(err, database.Close())
			}
		}()
		findings := doctor.Examine(c.Context(), doctor.Options{
			Config: settings, Migrations: migrations.FS,
			Clock: func() time.Time { return time.Now() }, //nolint:forbidigo // what it compares with the database's
			Connect: func(context.Context) (url, listenURL string, err error) {
				if database, err = openDatabase(c, settings); err != nil {
					return "", "", err
				}
				return database.URL, database.ListenURL, nil
			},
		})
		return printFindings(c.OutOrStdout(), *format, findings)
	}
	return check
}

// printFindings prints the findings and, for people, what to do below them. It
// fails if one of them failed.
func printFindings(w io.Writer, format outputFormat, findings []doctor.Finding) error {
	err := printList(w, format, findings, []column[doctor.Finding]{
		{"CHECK", func(f doctor.Finding) string { return f.Check }},
		{"STATUS", func(f doctor.Finding) string { return string(f.Status) }},
		{"FOUND", func(f doctor.Finding) string { return f.Found }},
	})
	if err != nil {
		return err
	}
	count := 0
	for _, f := range findings {
		if f.Status == doctor.Failed {
			count++
		}
		if f.Advice != "" && format == outputTable {
			if _, err := fmt.Fprintf(w, "\n%s: %s\n", f.Check, f.Advice); err != nil {
				return fmt.Errorf("print the advice: %w", err)
			}
		}
	}
	if count > 0 {
		return fmt.Errorf("%d of %d checks failed", count, len(findings))
	}
	return nil
}
