package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"onepg/internal/app"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/fault"
)

func newEvents() *cobra.Command {
	group := &cobra.Command{
		Use:   "events",
		Short: "Read, follow and copy the log, and append to it",
		Long: `The log is all events in the order they were recorded. These commands speak to the
database and not to a server: they work whether one runs or not.`,
		Example: "  app events list --name user.created\n  app events tail\n  app events export > events.ndjson",
	}
	group.AddCommand(newEventsList(), newEventsShow(), newEventsTail(), newEventsAppend(), newEventsExport(), newEventsImport())
	return group
}

// withTools opens the tools for a command and closes them after it.
func withTools(do func(*cobra.Command, *app.Tools, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) (err error) {
		database, settings, err := withDatabase(c)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, database.Close()) }()
		tools, err := app.OpenTools(c.Context(), database, settings, constructors(settings), settings.Log.Logger(c.ErrOrStderr()))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, tools.Close()) }()
		return do(c, tools, args)
	}
}

// filterFlags adds the flags that select events.
func filterFlags(c *cobra.Command) *eventstore.Query {
	q := new(eventstore.Query)
	c.Flags().Var((*positionFlag)(&q.After), "after", "events after this position")
	c.Flags().StringVar(&q.Aggregate, "aggregate", "", "events of this kind of aggregate, such as user")
	c.Flags().Var((*uuidFlag)(&q.AggregateID), "aggregate-id", "events of this aggregate")
	c.Flags().StringVar(&q.Name, "name", "", "events of this name, such as user.created")
	c.Flags().StringVar(&q.CorrelationID, "correlation-id", "", "events with this correlation_id in their metadata")
	return q
}

// positionFlag is a flag whose value is a position of the log, or 0, which is
// before the first.
type positionFlag int64

// String is the value as it was given.
func (f *positionFlag) String() string { return strconv.FormatInt(int64(*f), 10) }

// Type names the value in the help.
func (f *positionFlag) Type() string { return "position" }

// Set refuses what cannot be a position.
func (f *positionFlag) Set(text string) error {
	position, err := strconv.ParseInt(text, 10, 64)
	if err != nil || position < 0 {
		return errors.New("must be a position, 0 or more")
	}
	*f = positionFlag(position)
	return nil
}

// uuidFlag is a flag whose value is a UUID.
type uuidFlag uuid.UUID

// String is the value as it was given.
func (f *uuidFlag) String() string {
	if uuid.UUID(*f) == uuid.Nil {
		return ""
	}
	return uuid.UUID(*f).String()
}

// Type names the value in the help.
func (f *uuidFlag) Type() string { return "uuid" }

// Set refuses what is no UUID.
func (f *uuidFlag) Set(text string) error {
	id, err := uuid.Parse(text)
	if err != nil {
		return errors.New("must be a UUID such as 0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01")
	}
	*f = uuidFlag(id)
	return nil
}

func newEventsList() *cobra.Command {
	list := &cobra.Command{
		Use:   "list",
		Short: "List events in the order of the log",
		Long: `Lists events as they are stored, oldest first. The next page begins --after the last
position of this one.`,
		Example: "  app events list\n  app events list --after 1000 --limit 20 --aggregate user --output json",
		Args:    cobra.NoArgs,
	}
	filter := filterFlags(list)
	limit := list.Flags().Int("limit", 50, "at most this many events")
	format := outputFlag(list)
	list.PreRunE = func(*cobra.Command, []string) error {
		if *limit < 1 {
			return errors.New("--limit must be 1 or more")
		}
		return nil
	}
	list.RunE = withTools(func(c *cobra.Command, tools *app.Tools, _ []string) error {
		q := *filter
		q.Limit = *limit
		events, err := tools.Log.Read(c.Context(), q)
		if err != nil {
			return err
		}
		return printList(c.OutOrStdout(), *format, events, []column[eventsourcing.Recorded]{
			{"POSITION", func(e eventsourcing.Recorded) string { return strconv.FormatInt(e.Position, 10) }},
			{"RECORDED AT", func(e eventsourcing.Recorded) string { return e.RecordedAt.String() }},
			{"NAME", func(e eventsourcing.Recorded) string { return e.Name }},
			{"AGGREGATE", func(e eventsourcing.Recorded) string { return e.AggregateID.String() }},
			{"VERSION", func(e eventsourcing.Recorded) string { return strconv.Itoa(e.Version) }},
			{"ACTOR", func(e eventsourcing.Recorded) string { return e.Actor }},
			{"ID", func(e eventsourcing.Recorded) string { return e.ID.String() }},
		})
	})
	return list
}

func newEventsShow() *cobra.Command {
	show := &cobra.Command{
		Use:     "show ID",
		Short:   "Print one event",
		Long:    "Prints the event with this id as it is stored, as JSON unless a table is asked for.",
		Example: "  app events show 0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("takes the id of one event")
			}
			return new(uuidFlag).Set(args[0])
		},
	}
	format := outputFlag(show)
	*format, show.Flags().Lookup("output").DefValue = outputJSON, string(outputJSON)
	show.RunE = withTools(func(c *cobra.Command, tools *app.Tools, args []string) error {
		id := uuid.MustParse(args[0]) // as Args has seen to
		e, found, err := tools.Log.Event(c.Context(), id)
		if err != nil {
			return err
		}
		if !found {
			return fault.New(fault.NotFound, "not-found", "There is no event "+id.String()+"; `app events list` lists them.")
		}
		if *format == outputJSON {
			return printJSON(c.OutOrStdout(), e)
		}
		return printList(c.OutOrStdout(), outputTable, eventFields(e), []column[[2]string]{
			{"FIELD", func(f [2]string) string { return f[0] }},
			{"VALUE", func(f [2]string) string { return f[1] }},
		})
	})
	return show
}

// eventFields lists an event for people.
func eventFields(e eventsourcing.Recorded) [][2]string {
	return [][2]string{
		{"id", e.ID.String()},
		{"position", strconv.FormatInt(e.Position, 10)},
		{"recorded_at", e.RecordedAt.String()},
		{"name", e.Name},
		{"schema_version", strconv.Itoa(e.SchemaVersion)},
		{"aggregate", e.Aggregate},
		{"aggregate_id", e.AggregateID.String()},
		{"version", strconv.Itoa(e.Version)},
		{"actor", e.Actor},
		{"payload", string(e.Payload)},
		{"metadata", string(e.Metadata)},
	}
}

func newEventsTail() *cobra.Command {
	tail := &cobra.Command{
		Use:   "tail",
		Short: "Print events as they are recorded",
		Long: `Prints each event as one line of JSON as soon as it is recorded, until Ctrl-C. Without
--after it begins with the next event; "--after 0" begins with the first.

While the database is away it waits, and then goes on where it was: no event is
left out and none comes twice.`,
		Example: "  app events tail\n  app events tail --after 0 --aggregate user",
		Args:    cobra.NoArgs,
	}
	filter := filterFlags(tail)
	tail.RunE = withTools(func(c *cobra.Command, tools *app.Tools, _ []string) error {
		q := *filter
		if _, known := tools.Registry.Lookup(q.Name); q.Name != "" && !known {
			c.PrintErrf("This program knows no event %s. Waiting for one that a newer program records.\n", q.Name)
		}
		if !c.Flags().Changed("after") {
			var err error
			if q.After, err = tools.Log.Head(c.Context()); err != nil {
				return err
			}
		}
		var line []byte
		return tools.Follow(c.Context(), q, func(e eventsourcing.Recorded) (err error) {
			if line, err = eventstore.AppendLine(line[:0], e); err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(line)
			return err //nolint:wrapcheck // of standard output; there is nothing to add
		})
	})
	return tail
}

func newEventsAppend() *cobra.Command {
	appending := &cobra.Command{
		Use:   "append FILE",
		Short: "Append events from a file, or from standard input with -",
		Long: `Appends events that are written as for POST /v1/<domain>/events and held to the same
rules: one JSON document with an event or an array of them, or one of these a
line. The actor that is recorded is cli:<your user name>.

A document is recorded whole or not at all; lines are recorded in batches, so
those before a mistake stay. Repeat the file when it is mended: what is recorded
already is known by its id.`,
		Example: "  app events append users.ndjson\n  cat event.json | app events append -",
		Args:    cobra.ExactArgs(1),
	}
	format := outputFlag(appending)
	appending.RunE = withTools(func(c *cobra.Command, tools *app.Tools, args []string) (err error) {
		file, closeFile, err := openInput(c, args)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeFile()) }()
		who, err := user.Current()
		if err != nil {
			return fmt.Errorf("find out who appends: %w", err)
		}
		done, err := tools.AppendFrom(c.Context(), file, "cli:"+who.Username)
		return errors.Join(err, printDone(c, *format, done,
			fmt.Sprintf("%d events recorded, %d were recorded before; the last position is %d.", done.New, done.Known, done.Last)))
	})
	return appending
}

func newEventsExport() *cobra.Command {
	export := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the log as one JSON event a line",
		Long: `Writes the events to FILE, or to standard output, one a line and in the order of the
log, up to the end it has when the command begins. The events are exactly as
stored, so that "app events import" makes the same log of them.

With filters only some events are written; that cannot be imported, because
positions have no gaps. --newest-schema lifts payloads to their newest schema for
other programs to read; that is not to be imported either.`,
		Example: "  app events export events.ndjson\n  app events export --aggregate user --newest-schema | jq .payload",
		Args:    cobra.MaximumNArgs(1),
	}
	filter := filterFlags(export)
	export.Flags().Var((*positionFlag)(&filter.UpTo), "up-to", "events up to this position")
	export.PreRunE = func(*cobra.Command, []string) error {
		if filter.UpTo > 0 && filter.UpTo < filter.After {
			return errors.New("--after must not be after --up-to")
		}
		return nil
	}
	newest := export.Flags().Bool("newest-schema", false, "lift payloads to their newest schema")
	export.RunE = withTools(func(c *cobra.Command, tools *app.Tools, args []string) (err error) {
		out, closeOut, err := openOutput(c, args)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeOut()) }()
		bar := newProgress(c.ErrOrStderr())
		defer bar.end()
		o := eventstore.ExportOptions{Progress: bar.positions("exported")}
		if *newest {
			o.Change = tools.Registry.Upcast
		}
		_, err = tools.Export(c.Context(), out, *filter, o)
		return err
	})
	return export
}

func newEventsImport() *cobra.Command {
	importing := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Take over an exported log",
		Long: `Takes over what "app events export" wrote, from FILE or from standard input. Ids,
positions, versions, times, actors and the text of payloads stay as they were.

The events must continue this log, from position 1 where it is empty. Those that
it has already must be the same, so importing twice changes nothing. It is all or
nothing: an event that does not fit is named and nothing is written. Appends wait
while new events are imported. Views follow by themselves.

The database role must own the log; the role of a server may not do this.`,
		Example: "  app events import events.ndjson\n  ssh old app events export | app events import",
		Args:    cobra.MaximumNArgs(1),
	}
	format := outputFlag(importing)
	importing.RunE = withTools(func(c *cobra.Command, tools *app.Tools, args []string) (err error) {
		file, closeFile, err := openInput(c, args)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeFile()) }()
		bar := newProgress(c.ErrOrStderr())
		defer bar.end()
		done, err := tools.Import(c.Context(), bar.reading(file, "imported"))
		if err != nil {
			return err
		}
		return printDone(c, *format, done, fmt.Sprintf("%d events read, %d of them new; the last position is %d.", done.Read, done.New, done.Last))
	})
	return importing
}

func openInput(c *cobra.Command, args []string) (io.Reader, func() error, error) {
	if len(args) == 0 || args[0] == "-" {
		return c.InOrStdin(), func() error { return nil }, nil
	}
	file, err := os.Open(args[0])
	if err != nil {
		return nil, nil, fmt.Errorf("the events cannot be read; name another file, or - for standard input: %w", err)
	}
	return file, file.Close, nil
}

// openOutput makes the file that was named, or gives standard output.
func openOutput(c *cobra.Command, args []string) (io.Writer, func() error, error) {
	if len(args) == 0 || args[0] == "-" {
		return c.OutOrStdout(), func() error { return nil }, nil
	}
	file, err := os.Create(args[0])
	if err != nil {
		return nil, nil, fmt.Errorf("make the file: %w", err)
	}
	return file, file.Close, nil
}

// printDone prints what a command did, for programs or for people.
func printDone(c *cobra.Command, format outputFormat, done any, line string) error {
	if format == outputJSON {
		return printJSON(c.OutOrStdout(), done)
	}
	return printLine(c, line)
}
