// Package cmd is the command line: each command parses what it was given,
// builds what it needs from internal packages, calls it and prints the outcome.
// No command has logic of its own, and none keeps state in this package.
//
// Exit codes are public: 0 done, 1 failed, 2 called or configured wrongly.
// Results go to standard output, errors with what to do next to standard error.
// The first SIGINT or SIGTERM cancels the command's context, which every
// command takes as "finish and return"; the second ends the process at once.
package cmd

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"onepg/internal/config"
	"onepg/internal/fault"
)

const (
	exitDone    = 0
	exitFailure = 1
	exitUsage   = 2
)

// Execute runs the command that the process was started with and returns its
// exit code.
func Execute() int { return run(newRoot()) }

// run executes root under a context that the first signal cancels.
func run(root *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Why: once stop has run, a second signal meets the default handler,
	// which kills a command that does not come to its end.
	context.AfterFunc(ctx, stop)
	return execute(ctx, root)
}

// execute runs root with its arguments, prints its error and rates it.
func execute(ctx context.Context, root *cobra.Command) int {
	started := false
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	prepare(root, &started)
	called, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitDone
	case !started:
		report(root, err)
		fmt.Fprintf(root.ErrOrStderr(), "Run %q to see how it is called.\n", called.CommandPath()+" --help")
		return exitUsage
	case isMisuse(err):
		report(root, err)
		return exitUsage
	default:
		report(root, err)
		return exitFailure
	}
}

// isMisuse knows by their codes the mistakes in a call that come to light only
// when it is carried out, by the package that has the rule. All others are
// refused before: see prepare.
func isMisuse(err error) bool {
	f, ok := fault.Of(err)
	return ok && slices.Contains([]string{
		config.CodeInvalid, "database-url-invalid",
		"benchmark-no-server", "benchmark-unknown", "key-invalid", "migration-name-invalid",
	}, f.Code)
}

// report prints one error for a person. Where standard error is closed there is
// nobody left to tell.
func report(root *cobra.Command, err error) {
	fmt.Fprintf(root.ErrOrStderr(), "%s: %v\n", root.Name(), err)
	if f, ok := fault.Of(err); ok {
		for _, mistake := range f.Fields {
			fmt.Fprintf(root.ErrOrStderr(), "  %s %s\n", cmp.Or(mistake.Pointer, "/"), mistake.Detail)
		}
	}
}

// prepare gives every command below c two habits. A failure before a command's
// own code runs is a mistake in the call (a flag, an argument, a name), which
// cobra does not tell apart; started does. And a command that only groups others
// prints its help, but refuses a name it does not have, where cobra is silent.
func prepare(c *cobra.Command, started *bool) {
	if !c.Runnable() {
		c.Args = cobra.NoArgs
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	if run := c.RunE; run != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			*started = true
			return run(c, args)
		}
	}
	for _, child := range c.Commands() {
		prepare(child, started)
	}
}
