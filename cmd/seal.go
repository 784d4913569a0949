package cmd

import (
	"github.com/spf13/cobra"

	"onepg/internal/app"
)

func newSeal() *cobra.Command {
	group := &cobra.Command{
		Use:   "seal",
		Short: "Take a seal of the log out of the database",
		Long: `Seals are hashes over the log, each over the one before. They show that an event was
changed, also by a superuser, unless all later seals were rewritten too. Against
that keep one outside the database and give it to "app verify --seal".`,
		Example: "  app seal export > seal.json\n  app verify --seal seal.json",
	}
	group.AddCommand(newSealExport())
	return group
}

func newSealExport() *cobra.Command {
	export := &cobra.Command{
		Use:   "export",
		Short: "Print the newest seal as JSON",
		Long: `Prints the newest seal. It proves the log up to its last position, so it is enough to
keep the last one. Servers seal a thousand events at once and the rest a minute
after it was recorded; --all seals what is left first.`,
		Example: "  app seal export > seal.json\n  app seal export --all",
		Args:    cobra.NoArgs,
	}
	all := export.Flags().Bool("all", false, "seal everything there is before")
	export.RunE = withTools(func(c *cobra.Command, tools *app.Tools, _ []string) error {
		if *all {
			if err := tools.SealAll(c.Context()); err != nil {
				return err
			}
		}
		seal, err := tools.Seal(c.Context())
		if err != nil {
			return err
		}
		return printJSON(c.OutOrStdout(), seal)
	})
	return export
}
