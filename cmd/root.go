package cmd

import (
	"strings"

	"github.com/spf13/cobra"

	"onepg/internal/config"
)

// newRoot builds the tree of commands. Each constructor takes what its command
// needs, and the settings are read by the commands that use them, so that help,
// completion and version work with a broken configuration too.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "app",
		Short: "An event-sourced web API that needs one PostgreSQL and nothing else",
		Long: `app stores events in one append-only log in PostgreSQL, keeps read views up to
date from it, and serves both over HTTP.

Every setting is a flag, a variable in the environment or a line in the file
.env, in this order: --pool-size is APP_POOL_SIZE. "app config show" prints what
holds and where it came from.`,
		Example:       "  app run\n  app config show\n  APP_LOG_LEVEL=debug app config show --output json",
		SilenceErrors: true, // execute prints them
		SilenceUsage:  true,
	}
	config.Flags(root.PersistentFlags())
	root.Flags().SortFlags = false // in the order of .env.example, which groups them
	root.PersistentFlags().SortFlags = false
	root.SetUsageTemplate(briefUsage(root.UsageTemplate()))
	root.AddCommand(
		newRun(),
		newMigrate(migrationDeps()),
		newEvents(),
		newViews(),
		newSeal(),
		newVerify(),
		newConfig(),
		newKeys(keyringDeps()),
		newDoctor(),
		newBench(),
		newOpenAPI(),
		newClient(),
		newVersion(),
		newEmbeddedWatch(),
		newBenchWorker(),
	)
	return root
}

// briefUsage leaves the settings to the root's help. Repeated under each
// command they would bury its own few flags.
func briefUsage(template string) string {
	return strings.Replace(template,
		"{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}",
		"  Every setting, such as --addr or --log-level; \"app --help\" lists them.", 1)
}
