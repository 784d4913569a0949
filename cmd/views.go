package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"onepg/internal/aggregator"
	"onepg/internal/app"
	"onepg/internal/eventsourcing"
)

func newViews() *cobra.Command {
	group := &cobra.Command{
		Use:   "views",
		Short: "Watch and mend the read views",
		Long: `Views are tables that are kept up to date from the log. They are never the truth,
so each can be rebuilt from the events at any time.

These commands speak to the database and not to a server: they work whether one
runs or not.`,
		Example: "  app views status\n  app views rebuild users",
	}
	group.AddCommand(newViewsStatus(), newViewsParked(), newViewsRetry(), newViewsRebuild())
	return group
}

// withViews opens the views for a command and closes them after it.
func withViews(do func(*cobra.Command, *aggregator.Runner, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) (err error) {
		database, settings, err := withDatabase(c)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, database.Close()) }()
		views, closeViews, err := app.OpenViews(c.Context(), database, constructors(settings), settings.Log.Logger(c.ErrOrStderr()))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeViews()) }()
		return do(c, views, args)
	}
}

func newViewsStatus() *cobra.Command {
	status := &cobra.Command{
		Use:   "status",
		Short: "Show how each view stands",
		Long: `Shows how far each view has read the log, how old the first event is that it has
not read, how many aggregates it has parked, and its rebuild if there is one.`,
		Example: "  app views status\n  app views status --output json",
		Args:    cobra.NoArgs,
	}
	format := outputFlag(status)
	status.RunE = withViews(func(c *cobra.Command, views *aggregator.Runner, _ []string) error {
		all, err := views.Status(c.Context())
		if err != nil {
			return err
		}
		return printList(c.OutOrStdout(), *format, all, []column[aggregator.Status]{
			{"VIEW", func(s aggregator.Status) string { return s.Name }},
			{"STATUS", func(s aggregator.Status) string { return s.Status }},
			{"POSITION", func(s aggregator.Status) string { return strconv.FormatInt(s.Position, 10) }},
			{"HEAD", func(s aggregator.Status) string { return strconv.FormatInt(s.HeadPosition, 10) }},
			{"LAG", func(s aggregator.Status) string {
				return time.Duration(s.LagSeconds * float64(time.Second)).Round(time.Millisecond).String()
			}},
			{"PARKED", func(s aggregator.Status) string { return strconv.Itoa(s.Parked) }},
			{"REVISION", func(s aggregator.Status) string { return strconv.Itoa(s.Revision) }},
			{"NOTE", note},
		})
	})
	return status
}

// note is what else there is to say about a view.
func note(s aggregator.Status) string {
	switch {
	case s.Rebuild == nil:
		return s.Reason
	case s.Rebuild.Halted != "":
		return "rebuild halted: " + s.Rebuild.Halted
	default:
		return fmt.Sprintf("rebuild at %d of %d", s.Rebuild.Position, s.Rebuild.Of)
	}
}

func newViewsParked() *cobra.Command {
	const most = 1000
	parked := &cobra.Command{
		Use:   "parked NAME",
		Short: "List the aggregates whose events a view could not apply",
		Long: `Lists the aggregates that the view has set aside, each with the event it could not
apply and the error. Their later events wait behind it. With --output json the
whole event is shown. The first 1,000 are listed; a view halts long before.`,
		Example: "  app views parked users\n  app views parked users --output json",
		Args:    cobra.ExactArgs(1),
	}
	format := outputFlag(parked)
	parked.RunE = withViews(func(c *cobra.Command, views *aggregator.Runner, args []string) error {
		all, err := views.Parked(c.Context(), args[0], 0, most)
		if err != nil {
			return err
		}
		return printList(c.OutOrStdout(), *format, all, []column[aggregator.Parked]{
			{"AGGREGATE", func(p aggregator.Parked) string { return p.AggregateID.String() }},
			{"EVENT", func(p aggregator.Parked) string { return p.Event.Name }},
			{"POSITION", func(p aggregator.Parked) string { return strconv.FormatInt(p.Event.Position, 10) }},
			{"ATTEMPTS", func(p aggregator.Parked) string { return strconv.Itoa(p.Attempts) }},
			{"NEXT", func(p aggregator.Parked) string { return next(p.RetryAt) }},
			{"ERROR", func(p aggregator.Parked) string { return p.Error }},
		})
	})
	return parked
}

func next(at *eventsourcing.Time) string {
	if at == nil {
		return "when asked"
	}
	return at.String()
}

func newViewsRetry() *cobra.Command {
	var aggregateID uuidFlag // stays zero, which is all, where none is given
	return &cobra.Command{
		Use:   "retry NAME [AGGREGATE_ID]",
		Short: "Have a view try again what it has parked",
		Long: `Asks for another attempt at everything the view has parked, or at one aggregate.
The server that keeps the view makes it within a second, in the order of the
events; what fails again stays parked.

Without AGGREGATE_ID a view that has halted goes on. It halts again if too much
fails still.`,
		Example: "  app views retry users\n  app views retry users 0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01",
		Args: func(c *cobra.Command, args []string) error {
			if err := cobra.RangeArgs(1, 2)(c, args); err != nil || len(args) == 1 {
				return err
			}
			if err := aggregateID.Set(args[1]); err != nil {
				return fmt.Errorf("AGGREGATE_ID %w", err)
			}
			return nil
		},
		RunE: withViews(func(c *cobra.Command, views *aggregator.Runner, args []string) error {
			n, err := views.Retry(c.Context(), args[0], uuid.UUID(aggregateID))
			if err != nil {
				return err
			}
			return printLine(c, fmt.Sprintf("%d parked aggregates are due now. See: app views parked %s", n, args[0]))
		}),
	}
}

func newViewsRebuild() *cobra.Command {
	var takeBack bool
	rebuild := &cobra.Command{
		Use:   "rebuild NAME",
		Short: "Fold a view anew from the first event",
		Long: `Folds the view anew beside the live one and exchanges the two when it has caught
up. Readers see the old rows until then, and writes go on.

The command does the work itself unless a server is at it already. Interrupted,
the rebuild is continued by the next server or command that comes.

A view that a newer release has rebuilt is left alone by older ones. When that
release was taken back, --take-back makes the view this program's again.`,
		Example: "  app views rebuild users\n  app views rebuild users --take-back",
		Args:    cobra.ExactArgs(1),
		RunE: withViews(func(c *cobra.Command, views *aggregator.Runner, args []string) error {
			if takeBack {
				if err := views.TakeBack(c.Context(), args[0]); err != nil {
					return err
				}
			}
			bar := newProgress(c.ErrOrStderr())
			defer bar.end()
			if err := views.FollowRebuild(c.Context(), args[0], bar.positions(args[0])); err != nil {
				return err
			}
			return printLine(c, "The view "+args[0]+" is rebuilt.")
		}),
	}
	rebuild.Flags().BoolVar(&takeBack, "take-back", false, "take the view from a newer release that is gone for good")
	return rebuild
}
