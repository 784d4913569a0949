package bench

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"onepg/internal/config"
	"onepg/internal/domains"
	"onepg/internal/domains/payments"
	"onepg/internal/domains/users"
)

// asWorker is the first argument of this test binary when it is a worker.
const asWorker = "bench-worker"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == asWorker {
		os.Exit(work(os.Args[2]))
	}
	// The race detector lets a process sleep for a second at its end, and there
	// are many workers.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func work(role string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p, err := program()
	if err == nil {
		err = Work(ctx, role, p, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func program() (Program, error) {
	flags := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	config.Flags(flags)
	settings, err := config.Load(flags)
	if err != nil {
		return Program{}, err
	}
	return Program{
		Config: settings, Logger: slog.New(slog.DiscardHandler), Version: "test",
		Domains: []domains.Constructor{users.New, payments.New(payments.Policy(settings.Payments))},
	}, nil
}

func options(t *testing.T) Options {
	t.Helper()
	p, err := program()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Program: p, Worker: []string{self, asWorker}, Dir: t.TempDir(),
		Rounds: 1, Duration: 200 * time.Millisecond, Connections: []int{4}, Rate: 400, Stored: 500,
		Progress: func(int, int, string) {},
	}
}

func TestEveryBenchmarkHasAFigure(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"append":  {"article/4", "append/4", "append/4 alone", "append arrays", "append arrays alone"},
		"lone":    {"lone insert", "lone append"},
		"command": {"command", "command, few clients", "command/10", "command/100", "command/1000"},
		"read":    {"read"},
		"list":    {"list payments", "list payments, steady", "list", "list by e-mail"},
		"visible": {"visible", "visible already", "visible, high rate", "visible unnotified"},
		"stream":  {"stream"},
		"project": {"project", "project one by one"},
		"rebuild": {"rebuild", "rebuild by SQL", "peak of rebuild"},
		"growth": {
			"append at empty", "append at 5", "append at 50", "append at 500", "event",
			"event: table", "event: by position", "event: by id", "event: by aggregate", "lock", "row",
		},
		"idle": {"idle", "peak"},
	}
	// Two servers and not one for each: a benchmark mostly waits, and starting a
	// server is work.
	all := Suites()
	for _, only := range [][]string{all[:(len(all)+1)/2], all[(len(all)+1)/2:]} {
		t.Run(strings.Join(only, " "), func(t *testing.T) {
			t.Parallel()
			o := options(t)
			// Whatever the machine is busy with, a number of requests gets its
			// answers; a time may be over before the first one.
			o.Only, o.each = only, 2
			report, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			var rows []string
			for _, suite := range only {
				if len(want[suite]) == 0 {
					t.Errorf("nobody said which rows %s has", suite)
				}
				rows = append(rows, want[suite]...)
			}
			checkRows(t, report, rows)
		})
	}
}

// checkRows wants a figure in every row, and these rows among them. Others come
// with pgbench.
func checkRows(t *testing.T, report *Report, want []string) {
	t.Helper()
	names := make([]string, 0, len(report.Rows))
	for _, r := range report.Rows {
		names = append(names, r.Name)
		if !(r.Figure.Median > 0) || math.IsInf(r.Figure.Median, 0) || r.Figure.Min > r.Figure.Median || r.Figure.Max < r.Figure.Median {
			t.Errorf("%s has the figure %v", r.Name, r.Figure)
		}
		for _, f := range r.Findings {
			if !(f.Figure > 0) {
				t.Errorf("%s compares as %v", r.Name, f)
			}
		}
	}
	for _, name := range want {
		if !slices.Contains(names, name) {
			t.Errorf("there is no row %s among %q", name, names)
		}
	}
}

func TestAMeasurementLastsItsTimeAndSeesTheProcessors(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Only, o.Duration = []string{"lone"}, time.Second
	began := time.Now()
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	checkRows(t, report, []string{"lone insert", "lone append"})
	if took := time.Since(began); took < 2*o.Duration {
		t.Errorf("two measurements of %s took %s", o.Duration, took)
	}
	for _, r := range report.Rows {
		if r.Latency == nil || r.Latency.P50 <= 0 || r.Cores == nil || r.Cores.App <= 0 || r.Cores.PostgreSQL <= 0 {
			t.Errorf("%s says nothing about its latency or the processors: %+v", r.Name, r)
		}
	}
}

func TestADatabaseOfTheUsersIsNotTakenUnasked(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Server = true
	if _, err := Run(t.Context(), o); err == nil {
		t.Error("it ran without a database")
	}
}

func TestAnInterruptedRunEnds(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Only, o.Duration = []string{"append"}, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	measuring := make(chan struct{}, 100)
	o.Progress = func(_, _ int, what string) {
		if what == "round 1 of 1: article/4" {
			measuring <- struct{}{}
		}
	}
	time.AfterFunc(time.Minute, cancel) // so that a run that hangs fails, not the whole package
	go func() {
		<-measuring
		cancel()
	}()
	if _, err := Run(ctx, o); err == nil {
		t.Error("an hour has passed")
	}
}
