package cmd

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"onepg/internal/bench"
	"onepg/internal/config"
)

func newBench() *cobra.Command {
	var o bench.Options
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

What is measured: ` + strings.Join(bench.Suites(), ", ") + `.`,
		Example: `  app bench
  app bench --only append --connections 64 --rounds 5 --duration 10s
  app bench --only growth --stored 1000000
  app bench --output json > bench.json`,
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
	c.RunE = func(c *cobra.Command, _ []string) error { return measure(c, o, *format) }
	return c
}

func measure(c *cobra.Command, o bench.Options, format outputFormat) error {
	var err error
	if o.Program, err = benchProgram(c); err != nil {
		return err
	}
	if o.Watcher, err = watchCommand(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's file: %w", err)
	}
	o.Worker = []string{self, "bench-worker"}
	progress := newProgress(c.ErrOrStderr())
	o.Progress = progress.step
	report, err := bench.Run(c.Context(), o)
	progress.end()
	if report == nil || len(report.Rows) == 0 {
		return err
	}
	report.Command = strings.Join(append([]string{"app"}, os.Args[1:]...), " ")
	if format == outputJSON {
		return errors.Join(printJSON(c.OutOrStdout(), report), err)
	}
	return errors.Join(report.Write(c.OutOrStdout()), err)
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

// progress shows on a terminal how far long work is, and nothing elsewhere.
type progress struct {
	out     io.Writer
	visible bool
	bar     *progressbar.ProgressBar
	done    int
}

func newProgress(out io.Writer) *progress {
	file, ok := out.(*os.File)
	return &progress{out: out, visible: ok && term.IsTerminal(int(file.Fd()))}
}

// step says what comes next. A new total begins a new bar.
func (p *progress) step(done, total int, what string) {
	if !p.visible {
		return
	}
	if p.bar == nil || p.bar.GetMax() != total || done < p.done {
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(p.out), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetWidth(20), progressbar.OptionSetPredictTime(false), progressbar.OptionFullWidth())
	}
	p.done = done
	p.bar.Describe(what)
	_ = p.bar.Set(done) // it fails only beyond the total
}

// end removes the bar.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish() // as above
	}
}
