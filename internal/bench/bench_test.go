package bench

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/signal"
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
		Rounds: 1, Duration: 200 * time.Millisecond, Connections: []int{4}, Rate: 100, Stored: 500,
		Progress: func(int, int, string) {},
	}
}

//nolint:paralleltest // it would slow the others down, and they it
func TestEveryBenchmarkHasAFigure(t *testing.T) {
	o := options(t)
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"article/4", "append/4", "append/4 alone", "append arrays", "append arrays alone", "lone insert", "lone append",
		"command", "command, few clients", "command/10", "command/100", "command/1000", "stream",
		"rebuild", "rebuild by SQL", "peak of rebuild", "read", "list payments", "list", "list by e-mail",
		"visible", "visible, high rate", "visible by timer", "project", "project one by one",
		"append at empty", "append at 5", "append at 50", "append at 500", "event",
		"event: table", "event: by position", "event: by id", "event: by aggregate", "lock", "row", "idle", "peak",
	}
	rows := make(map[string]Row)
	for _, r := range report.Rows {
		rows[r.Name] = r
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
		if _, ok := rows[name]; !ok {
			t.Errorf("there is no row %s", name)
		}
	}
	if r := rows["append/4"]; r.Latency == nil || r.Latency.P50 <= 0 || r.Cores == nil || r.Cores.App <= 0 || r.Cores.PostgreSQL <= 0 {
		t.Errorf("append says nothing about its latency or the processors: %+v", r)
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
