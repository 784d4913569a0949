package cmd

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says which source a binary was made from.
type build struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	// Revision is the commit; empty where the source was no checkout.
	Revision string `json:"revision"`
	// Modified tells that the checkout differed from Revision.
	Modified bool `json:"modified"`
}

// thisBuild reads what the Go linker stamped into the binary, so no build
// script has to pass a version in.
func thisBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build{Version: "unknown"}
	}
	b := build{Version: info.Main.Version, Go: info.GoVersion}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// revision is the commit for people.
func (b build) revision() string {
	switch {
	case b.Revision == "":
		return "unknown"
	case b.Modified:
		return b.Revision + " with changes"
	default:
		return b.Revision
	}
}

func newVersion() *cobra.Command {
	version := &cobra.Command{
		Use:     "version",
		Short:   "Print what this binary was built from",
		Long:    "Prints the version, the Go release and the commit this binary was built from.",
		Example: "  app version\n  app version --output json",
		Args:    cobra.NoArgs,
	}
	format := outputFlag(version)
	version.RunE = func(c *cobra.Command, _ []string) error {
		b := thisBuild()
		if *format == outputJSON {
			return printJSON(c.OutOrStdout(), b)
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "version  %s\ngo       %s\nrevision %s\n", b.Version, b.Go, b.revision())
		if err != nil {
			return fmt.Errorf("print the version: %w", err)
		}
		return nil
	}
	return version
}
