package bench

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onepg/internal/fault"
)

// reportOf has a rate that is compared with another, a latency that is, a size,
// and what is not compared: a rate by itself and a percentile.
func reportOf(rate, wait, size []float64) *Report {
	base := samplesOf(100, 100, 100, 100, 100)
	samples := map[string][]sample{
		"append": samplesOf(rate...), "lone": samplesOf(wait...), "event": samplesOf(size...), "base": base, "free": base,
	}
	return &Report{Rounds: len(rate), Rows: []Row{
		rowOf(subject{name: "append", unit: perSecond, checks: []check{versus("base"), latencyAt(p99).most(8)}}, samples),
		rowOf(subject{name: "lone", unit: millis, checks: []check{versus("base").most(1.3)}}, samples),
		rowOf(subject{name: "event", unit: bytesEach}, samples),
		rowOf(subject{name: "free", unit: perSecond, checks: []check{value().least(1)}}, samples),
	}}
}

func TestWhatIsWorseThanItWasIsFound(t *testing.T) {
	t.Parallel()
	normal := []float64{600, 590, 610, 605, 595}
	lower := []float64{500, 490, 510, 505, 495}
	for name, c := range map[string]struct {
		rate, wait, size []float64
		worse            string
	}{
		"nothing":                 {normal, normal, normal, ""},
		"a rate that fell":        {lower, normal, normal, "append"},
		"a latency that rose":     {lower, normal, lower, "append"},
		"a size that fell":        {normal, normal, lower, ""},
		"a median within chance":  {[]float64{500, 620, 480, 615, 505}, normal, normal, ""},
		"a small step, for sure":  {[]float64{585, 586, 587, 588, 589}, normal, normal, ""},
		"two that should be low":  {normal, []float64{700, 701, 702, 703, 704}, []float64{700, 701, 702, 703, 704}, "lone, event"},
		"a rate that rose by far": {[]float64{900, 901, 902, 903, 904}, normal, normal, ""},
	} {
		changes, err := reportOf(c.rate, c.wait, c.size).Compare(reportOf(normal, normal, normal))
		if err != nil {
			t.Fatal(err)
		}
		err = changes.Regressions()
		if (err != nil) != (c.worse != "") || err != nil && !strings.HasSuffix(err.Error(), ": "+c.worse+".") {
			t.Errorf("%s: %v", name, err)
		}
		if len(changes.Changes) != 3 {
			t.Errorf("%s: %d figures were compared", name, len(changes.Changes))
		}
	}
}

func TestReportsThatSayNothingAboutEachOtherAreNotCompared(t *testing.T) {
	t.Parallel()
	five, three := []float64{1, 2, 3, 4, 5}, []float64{1, 2, 3}
	whole := reportOf(five, five, five)
	if _, err := whole.Compare(&Report{Rounds: 5}); !fault.Is(err, "benchmark-incomparable") {
		t.Errorf("nothing in common: %v", err)
	}
	if _, err := whole.Compare(reportOf(three, three, three)); !fault.Is(err, "benchmark-rounds") {
		t.Errorf("three rounds: %v", err)
	}
}

func TestAComparisonIsATable(t *testing.T) {
	t.Parallel()
	before := reportOf([]float64{600, 590, 610, 605, 595}, []float64{9, 9, 9, 9, 9}, []float64{300, 300, 300, 300, 300})
	after := reportOf([]float64{400, 390, 410, 405, 395}, []float64{9, 9, 9, 9, 9}, []float64{200, 200, 200, 200, 200})
	changes, err := after.Compare(before)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := changes.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := `
By ratio to what was measured beside it; sizes as they are.

NAME    AGAINST  BEFORE  MIN–MAX    NOW   MIN–MAX    BETTER BY  P      MEANS
append  base          6  5.90–6.10     4  3.90–4.10    -33.3 %  0.008  worse
lone    base       0.09  0.09–0.09  0.09  0.09–0.09     +0.0 %  1.000  same
event               300  300–300     200  200–200      +50.0 %  0.008  better
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAKeptReportIsTheSame(t *testing.T) {
	t.Parallel()
	five := []float64{1, 2, 3, 4, 5}
	report, file := reportOf(five, five, five), filepath.Join(t.TempDir(), "figures.json")
	report.Rows[0].Point = at(seriesAppend, 64)
	if err := report.Save(file); err != nil {
		t.Fatal(err)
	}
	got, err := Load(file)
	if diff := cmp.Diff(report, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := Load(file + ".gone"); err == nil {
		t.Error("a file that is not there was read")
	}
}
