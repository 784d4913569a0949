package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/perf/benchmath"

	"onepg/internal/fault"
)

// Comparison is how a report differs from an earlier one, row by row.
//
// Rates and times are compared by their ratio to what was measured beside them
// in the same round, because those of two machines, or of one on two days, say
// nothing about the program. Memory and storage are compared as they are. What
// has no such ratio is left out.
type Comparison struct {
	Changes []Change `json:"changes"`
}

// Change is one ratio, or one size, then and now.
type Change struct {
	Name    string `json:"name"`
	Against string `json:"against,omitempty"`
	Before  spread `json:"before"`
	After   spread `json:"after"`
	// Percent is how much better the median is: less than 0 is worse, whether
	// the figure is one that should be high or one that should be low.
	Percent float64 `json:"percent_better"`
	// P is the probability of a difference such as this between rounds of two
	// programs that are equally fast (Mann-Whitney U-test, as benchstat has it).
	P       float64 `json:"p"`
	Verdict verdict `json:"verdict"`
}

// verdict is what a change means.
type verdict string

const (
	same      verdict = "same" // the rounds differ as much among themselves
	better    verdict = "better"
	regressed verdict = "worse"
)

// What makes a change one: rounds that would be so different by chance in one
// case of twenty, and a median that has moved by more than anybody minds.
const (
	significance = 0.05
	negligible   = 5 // percent
)

// enoughRounds is how many rounds it takes to tell a change from chance: of three
// against three even the clearest has a probability of 0.1.
const enoughRounds = 4

// Compare compares the report with an earlier one. It fails if they have nothing in
// common or too few rounds to tell anything.
func (r *Report) Compare(before *Report) (*Comparison, error) {
	if r.Rounds < enoughRounds || before.Rounds < enoughRounds {
		return nil, fault.New(fault.Invalid, "benchmark-rounds",
			fmt.Sprintf("Comparing needs at least %d rounds; there are %d, and %d in the earlier report.", enoughRounds, r.Rounds, before.Rounds))
	}
	earlier := make(map[string]measured)
	for _, c := range before.comparables() {
		earlier[c.key()] = c
	}
	found := new(Comparison)
	for _, c := range r.comparables() {
		if was, ok := earlier[c.key()]; ok {
			found.Changes = append(found.Changes, changeOf(was, c))
		}
	}
	if len(found.Changes) == 0 {
		return nil, fault.New(fault.Invalid, "benchmark-incomparable", "The two reports have no figure in common that can be compared.")
	}
	return found, nil
}

// measured is what can be compared between reports.
type measured struct {
	name, against string
	rounds        []float64
	high          bool // the higher the better
}

func (c measured) key() string { return c.name + "\n" + c.against }

func (r *Report) comparables() []measured {
	var list []measured
	for _, row := range r.Rows {
		if row.Unit == mebibytes || row.Unit == bytesEach {
			list = append(list, measured{name: row.Name, rounds: row.Rounds})
		}
		for _, f := range row.Findings {
			if f.Of == main && f.Against != "" {
				list = append(list, measured{name: row.Name, against: f.Against, rounds: f.Rounds, high: row.Unit == perSecond})
			}
		}
	}
	return list
}

func changeOf(was, is measured) Change {
	test := benchmath.AssumeNothing.Compare(
		benchmath.NewSample(was.rounds, &benchmath.DefaultThresholds), benchmath.NewSample(is.rounds, &benchmath.DefaultThresholds))
	c := Change{Name: is.name, Against: is.against, Before: spreadOf(was.rounds), After: spreadOf(is.rounds), P: test.P, Verdict: same}
	ratio := c.After.Median / c.Before.Median
	if !is.high {
		ratio = 1 / ratio
	}
	const whole = 100
	c.Percent = (ratio - 1) * whole
	if test.P < significance && math.Abs(c.Percent) > negligible {
		c.Verdict = better
		if c.Percent < 0 {
			c.Verdict = regressed
		}
	}
	return c
}

// Regressions names what is worse; it is nil if nothing is, or nothing was
// compared.
func (c *Comparison) Regressions() error {
	if c == nil {
		return nil
	}
	var names []string
	for _, change := range c.Changes {
		if change.Verdict == regressed {
			names = append(names, change.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fault.New(fault.Conflict, "benchmark-worse", "Worse than the earlier report, by more than the rounds differ: "+strings.Join(names, ", ")+".")
}

// Write prints the comparison for people; of none, nothing.
func (c *Comparison) Write(w io.Writer) error {
	if c == nil {
		return nil
	}
	t := newTable(table.Row{"NAME", "AGAINST", "BEFORE", "MIN–MAX", "NOW", "MIN–MAX", "BETTER BY", "P", "MEANS"}, 3, 5, 7, 8)
	for _, change := range c.Changes {
		t.AppendRow(table.Row{
			change.Name, change.Against, number(change.Before.Median), change.Before.extremes(), number(change.After.Median), change.After.extremes(),
			fmt.Sprintf("%+.1f %%", change.Percent), fmt.Sprintf("%.3f", change.P), change.Verdict,
		})
	}
	_, err := fmt.Fprintf(w, "\nBy ratio to what was measured beside it; sizes as they are.\n\n%s\n", t.Render())
	return wrap(err, "print the comparison")
}

// Load reads a report that was kept as JSON.
func Load(file string) (*Report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read an earlier report: %w", err)
	}
	report := new(Report)
	if err := json.Unmarshal(text, report); err != nil {
		return nil, fmt.Errorf("read the report in %s: %w", file, err)
	}
	return report, nil
}

// Save keeps the report as JSON.
func (r *Report) Save(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		const readable = 0o644
		err = os.WriteFile(file, append(text, '\n'), readable)
	}
	return wrap(err, "keep the report")
}
