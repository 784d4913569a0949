package cmd

import (
	"github.com/spf13/cobra"

	"onepg/internal/config"
)

func newConfig() *cobra.Command {
	group := &cobra.Command{
		Use:   "config",
		Short: "Look at the settings",
		Long: `The settings come from flags, from APP_* variables, from the file .env in the
working directory and from the defaults; the first that has one wins.`,
		Example: "  app config show",
	}
	group.AddCommand(newConfigShow())
	return group
}

func newConfigShow() *cobra.Command {
	show := &cobra.Command{
		Use:   "show",
		Short: "Print every setting and where its value came from",
		Long: `Prints every setting with its value and its source: flag, environment, .env or
default. Passwords are masked. Settings that cannot be used are explained, and
the exit code is then 2.`,
		Example: "  app config show\n  app config show --output json\n  app config show --addr 127.0.0.1:9000",
		Args:    cobra.NoArgs,
	}
	format := outputFlag(show)
	show.RunE = func(c *cobra.Command, _ []string) error {
		settings, err := config.Load(c.Flags())
		if err != nil {
			return err
		}
		return printList(c.OutOrStdout(), *format, settings.Settings(), []column[config.Setting]{
			{"KEY", func(s config.Setting) string { return s.Key }},
			{"SOURCE", func(s config.Setting) string { return string(s.Source) }},
			{"VALUE", func(s config.Setting) string { return s.Value }}, // last, because some are long
		})
	}
	return show
}
