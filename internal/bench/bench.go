// Package bench is the load tool behind `app bench`: it measures the whole
// program over HTTP on a durable PostgreSQL, and in the same run, round by round,
// what each figure is compared with.
//
//	app bench ──┬── PostgreSQL of its own (or a server the user names)
//	            ├── worker "serve": the program as `app run` starts it
//	            ├── worker "article": one INSERT per request, the baseline
//	            ├── worker "load": connections that send requests
//	            └── pgbench, where it is installed
//
// # Honesty
//
// Everything is durable: fsync, full_page_writes and synchronous_commit are on,
// and the report says so from the server's own account. Whatever is compared
// runs in turn within one round, and a ratio is the median of the rounds' own
// ratios, so that a slow minute hits both sides. The load comes from a process
// of its own and shares the machine; the report says how many cores each part
// used. Views are kept while appends are measured, which the baseline does not
// do. Latencies are of all requests in the measured time; with a rate they
// count from when a request was due, not from when it could be sent. An answer
// with another status than expected ends the run.
//
// # Keeping figures
//
// A report can be kept, drawn, and compared with a later one. What is compared
// are the ratios of a round, not rates: see [Comparison].
//
// # Limits
//
// One machine, so no network. Figures of a noisy machine are only as good as
// their spread, which is printed. What a run writes goes to databases named
// onepg_bench_*, made for it and dropped after it.
package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Options say what to measure, how long and where.
type Options struct {
	Program

	// Worker is the command that calls [Work] with its last argument, which is
	// appended here.
	Worker []string
	// Watcher is for the embedded PostgreSQL; see package embedded.
	Watcher []string
	// Dir is where the embedded PostgreSQL of the run lives; empty makes a
	// temporary one in the working directory, so that it is on a real disk and
	// not in memory as /tmp often is.
	Dir string
	// Server makes the run use the PostgreSQL that the configuration names. Its
	// user must be allowed to create databases.
	Server bool
	// Rounds is how often everything is measured, Duration for how long.
	Rounds   int
	Duration time.Duration
	// Connections are the numbers of clients that append at once.
	Connections []int
	// Rate is the events per second while visibility is measured.
	Rate float64
	// Stored is the number of events that growth is measured at.
	Stored int
	// Only names the suites to run; empty runs all.
	Only []string
	// each is how many requests a connection sends instead of as many as fit into
	// Duration; 0 but for tests, whose figures mean nothing.
	each int
	// Progress hears of each step before it begins; total is of the suite.
	Progress func(done, total int, what string)
}

// Run measures and gives the report. A suite that fails does not keep the others
// from running: the report then lacks its rows, and the error says why.
// Cancelling ctx ends the run and cleans up.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	list, err := chosen(o.Only)
	if err != nil {
		return nil, err
	}
	o.Progress(0, 1, "starting PostgreSQL")
	l, err := openLab(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.closing.close()) }()
	report := &Report{Machine: l.machine, Rounds: o.Rounds, Seconds: o.Duration.Seconds()}
	var failed []error
	for _, s := range list {
		rows, err := l.runSuite(ctx, s)
		if err != nil {
			failed = append(failed, fmt.Errorf("benchmark %s: %w", s.name, err))
		}
		if ctx.Err() != nil {
			break
		}
		report.Rows = append(report.Rows, rows...)
	}
	return report, errors.Join(failed...)
}

// runSuite measures the suite's subjects in turn, round by round.
func (l *lab) runSuite(ctx context.Context, s suite) (rows []Row, err error) {
	st, err := l.openStage(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	l.options.Progress(0, 1, s.name+": preparing")
	subjects, err := s.prepare(ctx, st)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	samples := make(map[string][]sample, len(subjects))
	total := l.options.Rounds * len(subjects)
	for round := range l.options.Rounds {
		for i, sub := range subjects {
			l.options.Progress(round*len(subjects)+i, total, fmt.Sprintf("round %d of %d: %s", round+1, l.options.Rounds, sub.name))
			if err := st.settle(ctx); err != nil {
				return nil, err
			}
			one, err := sub.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", sub.name, err)
			}
			samples[sub.name] = append(samples[sub.name], one)
		}
	}
	for _, sub := range subjects {
		rows = append(rows, rowOf(sub, samples))
	}
	return rows, nil
}

// wrap says what failed, if something did.
func wrap(err error, what string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
