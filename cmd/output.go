package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
)

// outputFormat is the value of --output.
type outputFormat string

const (
	outputTable outputFormat = "table"
	outputJSON  outputFormat = "json"
)

// outputFlag adds --output to a command that lists something.
func outputFlag(c *cobra.Command) *outputFormat {
	format := outputTable
	c.Flags().VarP(&format, "output", "o", "shape of the list: table or json")
	values := cobra.FixedCompletions([]cobra.Completion{string(outputTable), string(outputJSON)}, cobra.ShellCompDirectiveNoFileComp)
	_ = c.RegisterFlagCompletionFunc("output", values) // it fails only for a flag that does not exist
	return &format
}

// String is the format's name on the command line.
func (f *outputFormat) String() string { return string(*f) }

// Type names the value in the help.
func (f *outputFormat) Type() string { return "format" }

// Set refuses what is neither of the two formats.
func (f *outputFormat) Set(text string) error {
	switch outputFormat(text) {
	case outputTable, outputJSON:
		*f = outputFormat(text)
		return nil
	default:
		return errors.New("must be table or json")
	}
}

// column is one column of a table: its title and its cell for an item.
type column[T any] struct {
	title string
	cell  func(T) string
}

// printList writes items as an aligned table for people or as one JSON array
// for programs. Nothing to list is a table of titles or [], never null.
func printList[T any](w io.Writer, format outputFormat, items []T, columns []column[T]) error {
	if format == outputJSON {
		return printJSON(w, append([]T{}, items...))
	}
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	titles := make(table.Row, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	t.AppendHeader(titles)
	for _, item := range items {
		cells := make(table.Row, len(columns))
		for i, c := range columns {
			cells[i] = c.cell(item)
		}
		t.AppendRow(cells)
	}
	if _, err := fmt.Fprintln(w, t.Render()); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

// printJSON writes v for programs, indented because people read it too.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// printLine writes a sentence for people.
func printLine(c *cobra.Command, line string) error {
	if _, err := fmt.Fprintln(c.OutOrStdout(), line); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}
