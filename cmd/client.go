package cmd

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"onepg/internal/tsclient"
)

func newClient() *cobra.Command {
	group := &cobra.Command{
		Use:     "client",
		Short:   "Write a client for the API",
		Long:    "Writes a client for the API, made from its specification.",
		Example: "  app client typescript --out web/src/onepg",
	}
	group.AddCommand(newClientTypeScript())
	return group
}

func newClientTypeScript() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "typescript",
		Short: "Write a TypeScript client",
		Long: `Writes a package for browsers and Node 20 or newer: JavaScript modules with
their types, without dependencies, ready to be imported. Neither Node nor a
database is needed to make it. Files that are there already are overwritten.`,
		Example: "  app client typescript --out client\n  npm install ./client",
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&out, "out", "", "the folder to write to")
	_ = c.MarkFlagRequired("out") // it is defined on the line before
	c.RunE = func(c *cobra.Command, _ []string) error {
		document, err := specification(c)
		if err != nil {
			return err
		}
		files, err := tsclient.Make(document)
		if err != nil {
			return err
		}
		if err := tsclient.Write(out, files); err != nil {
			return err
		}
		for _, f := range files {
			fmt.Fprintln(c.OutOrStdout(), filepath.Join(out, f.Name))
		}
		return nil
	}
	return c
}
