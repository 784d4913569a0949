package bench

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Report is what a run found. As JSON it is for programs that compare runs.
type Report struct {
	Command string  `json:"command"`
	Machine Machine `json:"machine"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds_per_measurement"`
	Rows    []Row   `json:"rows"`
}

// Row is one subject: its figure over the rounds, and the medians of the rest.
type Row struct {
	Name     string    `json:"name"`
	What     string    `json:"what"`
	Unit     unit      `json:"unit"`
	Figure   spread    `json:"figure"`
	Rounds   []float64 `json:"rounds"`
	Latency  *latency  `json:"latency,omitempty"`
	Cores    *cores    `json:"cores,omitempty"`
	Findings []finding `json:"findings,omitempty"`
	Point    *Point    `json:"point,omitempty"`
}

// rowOf makes a subject's row from the samples of all subjects.
func rowOf(s subject, samples map[string][]sample) Row {
	own := samples[s.name]
	rounds := each(own, func(m sample) float64 { return m.figure })
	row := Row{Name: s.name, What: s.what, Unit: s.unit, Figure: spreadOf(rounds), Rounds: rounds, Point: s.point}
	if own[0].latency != nil {
		row.Latency = &latency{
			P50:  median(each(own, func(m sample) float64 { return m.latency.P50 })),
			P99:  median(each(own, func(m sample) float64 { return m.latency.P99 })),
			P999: median(each(own, func(m sample) float64 { return m.latency.P999 })),
		}
	}
	if own[0].cores != nil {
		row.Cores = &cores{
			App:        median(each(own, func(m sample) float64 { return m.cores.App })),
			PostgreSQL: median(each(own, func(m sample) float64 { return m.cores.PostgreSQL })),
			Client:     median(each(own, func(m sample) float64 { return m.cores.Client })),
		}
	}
	for _, c := range s.checks {
		if other, measured := samples[c.against]; measured || c.against == "" {
			row.Findings = append(row.Findings, c.assess(own, other))
		}
	}
	return row
}

func each(samples []sample, figure func(sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = figure(s)
	}
	return values
}

// Write prints the report for people: what was measured on, then one row for
// each subject, with a line for each of its comparisons.
func (r *Report) Write(w io.Writer) error {
	t := newTable(table.Row{
		"NAME", "WHAT", "MEDIAN", "MIN–MAX", "P50 MS", "P99", "P99.9", "APP+PG+CLIENT CORES", "COMPARED", "TARGET", "MET",
	}, 3, 5, 6, 7)
	for _, row := range r.Rows {
		t.AppendRow(row.cells())
	}
	_, err := fmt.Fprintf(w, "%s\n%s\nMedians of %d rounds of %s s; ratios are medians of each round's own.\n\n%s\n",
		r.Command, r.Machine, r.Rounds, number(r.Seconds), t.Render())
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}

// newTable begins a table with these titles; the columns named are numbers.
func newTable(titles table.Row, numbers ...int) table.Writer {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.AppendHeader(titles)
	columns := make([]table.ColumnConfig, len(numbers))
	for i, n := range numbers {
		columns[i] = table.ColumnConfig{Number: n, Align: text.AlignRight}
	}
	t.SetColumnConfigs(columns)
	return t
}

func (r Row) cells() table.Row {
	cells := table.Row{
		r.Name, r.What, number(r.Figure.Median) + " " + string(r.Unit),
		r.Figure.extremes(), "", "", "", "",
	}
	if l := r.Latency; l != nil {
		cells[4], cells[5], cells[6] = number(l.P50), number(l.P99), number(l.P999)
	}
	if c := r.Cores; c != nil {
		cells[7] = fmt.Sprintf("%.2f + %.2f + %.2f", c.App, c.PostgreSQL, c.Client)
	}
	var compared, targets, met []string
	for _, f := range r.Findings {
		compared = append(compared, f.compared(r.Unit))
		targets = append(targets, f.Target)
		met = append(met, f.verdict())
	}
	return append(cells, strings.Join(compared, "\n"), strings.Join(targets, "\n"), strings.Join(met, "\n"))
}

func (f finding) compared(u unit) string {
	switch {
	case f.Against != "":
		return number(f.Figure) + " × " + f.Against
	case f.Of == pace:
		return number(f.Figure) + " × the rate"
	case f.Of != main:
		return string(f.Of) + " " + number(f.Figure) + " ms"
	default:
		return number(f.Figure) + " " + string(u)
	}
}

func (f finding) verdict() string {
	switch {
	case f.Met == nil:
		return ""
	case *f.Met:
		return "yes"
	default:
		return "no"
	}
}

// number writes a figure with about three digits that mean something, and
// thousands in groups.
func number(v float64) string {
	switch size := math.Abs(v); {
	case size == math.Trunc(size) && size < 1000:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case size >= 1000:
		return grouped(strconv.FormatFloat(v, 'f', 0, 64))
	case size >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

// grouped puts a comma after every third digit, from behind.
func grouped(digits string) string {
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
