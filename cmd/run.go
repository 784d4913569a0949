package cmd

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"onepg/internal/app"
	"onepg/internal/config"
	"onepg/internal/postgres/embedded"
)

func newRun() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Serve the API and keep the views",
		Long: `Serves the API until it is interrupted. With no APP_DATABASE_URL it starts a
PostgreSQL of its own in APP_DATA_DIR, or joins the one that another app started
there. Pending migrations are applied first, unless APP_AUTO_MIGRATE=false.

Ctrl-C stops cleanly: requests in flight finish, nothing acknowledged is lost. A
second Ctrl-C stops at once, which loses nothing acknowledged either.`,
		Example: `  app run
  app run --addr 127.0.0.1:9000
  APP_DATABASE_URL=postgres://app@db.example/onepg app run`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return serve(c) },
	}
}

func serve(c *cobra.Command) error {
	settings, err := config.Load(c.Flags())
	if err != nil {
		return err
	}
	watcher, err := watchCommand()
	if err != nil {
		return err
	}
	app.CollectLess()
	a, err := app.Start(c.Context(), app.Options{
		Config: settings, Domains: constructors(settings), Version: thisBuild().Version, Watcher: watcher,
		Logger: settings.Log.Logger(c.ErrOrStderr()),
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), `
  onepg is running.

  API      %[1]s
  Console  %[1]s/console
  Views    %[1]s/v1/views
  Log      %[1]s/v1/events
  Metrics  %[2]s/metrics
  Docs     %[1]s/docs
  Spec     %[1]s/openapi.json

  Try the requests of test.http. Ctrl-C stops.

`, a.URL(), a.OpsURL())
	return a.Run(c.Context())
}

// watchCommand calls the hidden command below. It stops the embedded PostgreSQL
// when the last app that uses it was killed.
func watchCommand() ([]string, error) { return ownCommand("embedded-watch") }

// ownCommand calls a command of this same program.
func ownCommand(name string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file: %w", err)
	}
	return []string{self, name}, nil
}

func newEmbeddedWatch() *cobra.Command {
	return &cobra.Command{
		Use:     "embedded-watch DIR",
		Short:   "Stop the PostgreSQL of a data directory when nobody uses it",
		Long:    "Started by the program itself. Waits until no app uses the PostgreSQL in DIR and stops it.",
		Example: "  app embedded-watch .data",
		Hidden:  true,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return embedded.Watch(c.Context(), args[0])
		},
	}
}
