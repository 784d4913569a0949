package cmd

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"onepg/internal/app"
	"onepg/internal/config"
)

func newOpenAPI() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "openapi",
		Short: "Print the specification of the API",
		Long: `Prints the OpenAPI 3.1 document of the API, the same bytes that GET /openapi.json
answers with these settings. No database is needed.`,
		Example: "  app openapi\n  app openapi --file openapi.json\n  app openapi | jq .paths",
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVarP(&file, "file", "f", "", "write to this file instead of standard output")
	c.RunE = func(c *cobra.Command, _ []string) error {
		document, err := specification(c)
		if err != nil {
			return err
		}
		if file != "" {
			return writeFile(file, document)
		}
		if _, err := c.OutOrStdout().Write(document); err != nil {
			return fmt.Errorf("print the specification: %w", err)
		}
		return nil
	}
	return c
}

// specification is the document for the settings of the command.
func specification(c *cobra.Command) ([]byte, error) {
	settings, err := config.Load(c.Flags())
	if err != nil {
		return nil, err
	}
	return app.Spec(app.Options{
		Config: settings, Domains: constructors(settings), Version: thisBuild().Version,
	})
}

// writeFile writes a file that others may read, whole or not at all.
func writeFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".*-"+filepath.Base(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // gone once it was renamed
	_, err = temporary.Write(content)
	if closing := temporary.Close(); err == nil {
		err = closing
	}
	if err == nil {
		const readable = 0o644
		err = os.Chmod(temporary.Name(), readable)
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
