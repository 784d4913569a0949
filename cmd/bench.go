package cmd

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onepg/internal/bench"
	"onepg/internal/config"
)

// keeping says which files a benchmark has to do with.
type keeping struct {
	from, save, plot, compare string

	before *bench.Report // what compare names
}

func newBench() *cobra.Command {
	var o bench.Options
	var k keeping
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure this program on this machine",
		Long: `Measures appending, reading, visibility, views, growth and memory over HTTP, and
in the same run, in turn, what each is compared with: one INSERT per request,
pgbench, a projector with a transaction per event.

It starts a durable PostgreSQL of its own in a temporary directory and leaves
nothing behind. With --use-database it runs on the server of APP_DATABASE_URL, in
databases named onepg_bench_* that it makes and drops; the one in the URL is not
touched.

Figures are kept with --save and compared with --compare, which fails if something
is worse than it was by more than its rounds differ. With --from nothing is
measured: the report is one that was kept.

What is measured: ` + strings.Join(bench.Suites(), ", ") + `.`,
		Example: `  app bench
  app bench --only append --connections 64 --rounds 5 --duration 10s
  app bench --only growth --stored 1000000
  app bench --save figures.json --plot figures.svg
  app bench --compare figures.json`,
		Args: cobra.NoArgs,
	}
	format := outputFlag(c)
	flags := c.Flags()
	flags.StringSliceVar(&o.Only, "only", nil, "what to measure; everything if not given")
	flags.IntVar(&o.Rounds, "rounds", 5, "how often each is measured")
	flags.DurationVar(&o.Duration, "duration", 5*time.Second, "how long each is measured in a round")
	flags.IntSliceVar(&o.Connections, "connections", []int{32, 64, 256}, "clients that append at once")
	flags.Float64Var(&o.Rate, "rate", 2000, "events per second while visibility is measured, and five times as many")
	flags.IntVar(&o.Stored, "stored", 5_000_000, "events in the log that growth is measured at")
	flags.StringVar(&o.Dir, "dir", "", "where its PostgreSQL lives; empty for a temporary directory in this one")
	flags.BoolVar(&o.Server, "use-database", false, "run on the server of APP_DATABASE_URL, in databases of its own")
	flags.StringVar(&k.save, "save", "", "keep the report as JSON in this file")
	flags.StringVar(&k.plot, "plot", "", "draw throughput and latency as SVG into this file")
	flags.StringVar(&k.compare, "compare", "", "compare with the report kept in this file; exit 1 if something is worse")
	flags.StringVar(&k.from, "from", "", "take the report from this file and measure nothing")
	c.PreRunE = func(*cobra.Command, []string) error {
		if o.Rounds < 1 || o.Duration <= 0 || o.Rate <= 0 || o.Stored < 1 || slices.ContainsFunc(o.Connections, func(n int) bool { return n < 1 }) {
			return errors.New("--rounds, --duration, --connections, --rate and --stored must be more than zero")
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return benchmark(c, o, k, *format) }
	return c
}

// benchmark measures, or takes what was measured, and shows it.
func benchmark(c *cobra.Command, o bench.Options, k keeping, format outputFormat) error {
	var report *bench.Report
	var err error
	// Why first: it would be a pity to notice after half an hour.
	if k.compare != "" {
		if k.before, err = bench.Load(k.compare); err != nil {
			return err
		}
	}
	if k.from != "" {
		report, err = bench.Load(k.from)
	} else {
		report, err = measure(c, o)
	}
	if report == nil || len(report.Rows) == 0 {
		return err
	}
	return errors.Join(show(c, report, k, format), err)
}

// measure runs the benchmark.
func measure(c *cobra.Command, o bench.Options) (*bench.Report, error) {
	var err error
	if o.Program, err = benchProgram(c); err != nil {
		return nil, err
	}
	if o.Watcher, err = watchCommand(); err != nil {
		return nil, err
	}
	if o.Worker, err = ownCommand("bench-worker"); err != nil {
		return nil, err
	}
	progress := newProgress(c.ErrOrStderr())
	o.Progress = progress.step
	report, err := bench.Run(c.Context(), o)
	progress.end()
	if report != nil {
		report.Command = strings.Join(append([]string{"app"}, os.Args[1:]...), " ")
	}
	return report, err
}

// show prints the report and does with it what the flags ask for.
func show(c *cobra.Command, report *bench.Report, k keeping, format outputFormat) error {
	var failed []error
	fails := func(err error) { failed = append(failed, err) }
	if k.save != "" {
		fails(report.Save(k.save))
	}
	if k.plot != "" {
		fails(plot(report, k.plot))
	}
	var changes *bench.Comparison
	if k.before != nil {
		var err error
		changes, err = report.Compare(k.before)
		fails(err)
	}
	out := c.OutOrStdout()
	if format == outputJSON {
		fails(printJSON(out, struct {
			*bench.Report
			*bench.Comparison
		}{report, changes}))
	} else {
		fails(report.Write(out))
		fails(changes.Write(out))
	}
	fails(changes.Regressions())
	return errors.Join(failed...)
}

// plot draws the report into a file.
func plot(report *bench.Report, name string) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("make the plot's file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return report.WritePlot(file)
}

// benchProgram is what workers run. Why it hardly logs: a benchmark's terminal is
// for its progress.
func benchProgram(c *cobra.Command) (bench.Program, error) {
	settings, err := config.Load(c.Flags())
	if err != nil {
		return bench.Program{}, err
	}
	settings.Log.Level = max(settings.Log.Level, slog.LevelWarn)
	return bench.Program{
		Config: settings, Domains: constructors(settings), Version: thisBuild().Version,
		Logger: settings.Log.Logger(c.ErrOrStderr()),
	}, nil
}

func newBenchWorker() *cobra.Command {
	return &cobra.Command{
		Use:     "bench-worker ROLE",
		Short:   "Be one of the processes of app bench",
		Long:    "Started by app bench. Takes orders on standard input and ends with it.",
		Example: "  app bench-worker load",
		Hidden:  true,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			program, err := benchProgram(c)
			if err != nil {
				return err
			}
			return bench.Work(c.Context(), args[0], program, c.InOrStdin(), c.OutOrStdout())
		},
	}
}
