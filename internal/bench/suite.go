package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"onepg/internal/fault"
)

// suite is a group of subjects that are measured in turn: A B C, A B C, … Each
// lives in a file of its own; a new one is that file and a line in suites.
type suite struct {
	name string // for --only
	// prepare builds what the subjects need and lists them. What it takes from
	// the stage is given back after the last round.
	prepare func(context.Context, *stage) ([]subject, error)
}

func suites() []suite {
	return []suite{
		{"append", prepareAppend},
		{"lone", prepareLone},
		{"command", prepareCommand},
		{"read", prepareRead},
		{"list", prepareList},
		{"visible", prepareVisible},
		{"stream", prepareStream},
		{"project", prepareProject},
		{"rebuild", prepareRebuild},
		{"growth", prepareGrowth},
		{"idle", prepareIdle},
	}
}

// Suites lists the names that [Options].Only can hold.
func Suites() []string {
	var names []string
	for _, s := range suites() {
		names = append(names, s.name)
	}
	return names
}

// chosen gives the suites named, or all.
func chosen(only []string) ([]suite, error) {
	if len(only) == 0 {
		return suites(), nil
	}
	for _, name := range only {
		if !slices.Contains(Suites(), name) {
			return nil, fault.New(fault.Invalid, "benchmark-unknown",
				fmt.Sprintf("There is no benchmark %q; there are %s.", name, strings.Join(Suites(), ", ")))
		}
	}
	return slices.DeleteFunc(suites(), func(s suite) bool { return !slices.Contains(only, s.name) }), nil
}

// subject is one thing that is measured, and one row of the report.
type subject struct {
	name   string
	what   string
	unit   unit
	checks []check
	// point places the subject in the report's plot; nil where it is not drawn.
	point *Point
	run   func(context.Context) (sample, error)
}

// sample is what one round of a subject gave.
type sample struct {
	figure  float64 // in the subject's unit
	latency *latency
	cores   *cores
	pace    float64 // the part of a steady rate that was taken
}

// cores says how many processor cores were busy, on average, and for whom.
type cores struct {
	App        float64 `json:"app"`
	PostgreSQL float64 `json:"postgresql"`
	Client     float64 `json:"client"`
}

// unit is what a figure counts.
type unit string

const (
	perSecond unit = "/s"
	millis    unit = "ms"
	mebibytes unit = "MiB"
	bytesEach unit = "bytes"
)

// check compares a subject with a limit, or with another subject of its suite.
type check struct {
	of      figure
	against string // the other subject's name; empty for the figure itself
	limit   float64
	atMost  bool // else at least; means nothing without a limit
}

// figure is the part of a sample that a check is about.
type figure string

const (
	main figure = ""
	p50  figure = "p50"
	p99  figure = "p99"
	pace figure = "pace"
)

// versus is the ratio to another subject, for information.
func versus(subject string) check { return check{against: subject} }

// value is the figure itself.
func value() check { return check{} }

// latencyAt is one of the percentiles, in milliseconds.
func latencyAt(f figure) check { return check{of: f} }

// pacing is the part of a steady rate that was taken, without which a latency at
// that rate is worth nothing.
func pacing() check { return check{of: pace} }

func (c check) least(limit float64) check {
	c.limit = limit
	return c
}

func (c check) most(limit float64) check {
	c.limit, c.atMost = limit, true
	return c
}

// part is the figure of a sample that the check is about.
func (c check) part(s sample) float64 {
	switch {
	case c.of == pace:
		return s.pace
	case c.of == main || s.latency == nil:
		return s.figure
	case c.of == p50:
		return s.latency.P50
	default:
		return s.latency.P99
	}
}

// finding is what a check came to.
type finding struct {
	Of      figure    `json:"of,omitempty"`
	Against string    `json:"against,omitempty"`
	Figure  float64   `json:"figure"` // the median of Rounds
	Target  string    `json:"target,omitempty"`
	Met     *bool     `json:"met,omitempty"`
	Rounds  []float64 `json:"rounds"`
}

// assess applies the check. A ratio is taken round by round, because what makes
// a round slow (a neighbour, a checkpoint) slows both of its sides.
func (c check) assess(own, other []sample) finding {
	var figures []float64
	for i, s := range own {
		f := c.part(s)
		if c.against != "" {
			f /= c.part(other[i])
		}
		figures = append(figures, f)
	}
	found := finding{Of: c.of, Against: c.against, Figure: median(figures), Rounds: figures}
	if c.limit == 0 {
		return found
	}
	met := found.Figure >= c.limit
	found.Target = "≥ " + number(c.limit)
	if c.atMost {
		met = found.Figure <= c.limit
		found.Target = "≤ " + number(c.limit)
	}
	found.Met = &met
	return found
}
