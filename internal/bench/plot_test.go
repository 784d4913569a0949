package bench

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func drawn(name, series string, x int, figures ...float64) Row {
	return rowOf(subject{name: name, unit: perSecond, point: at(series, x)}, map[string][]sample{name: samplesOf(figures...)})
}

func TestThePlotHasAMarkForEachPoint(t *testing.T) {
	t.Parallel()
	report := Report{Rows: []Row{
		drawn("append/256", seriesAppend, 256, 30_000, 32_000),
		drawn("append/64", seriesAppend, 64, 20_000, 24_000),
		drawn("article/64", seriesArticle, 64, 4000),
		drawn("append at empty", seriesStored, 0, 20),
		drawn("append at 1,000", seriesStored, 1000, 30),
		rowOf(subject{name: "idle", unit: mebibytes}, map[string][]sample{"idle": samplesOf(30)}),
	}}
	var out strings.Builder
	if err := report.WritePlot(&out); err != nil {
		t.Fatal(err)
	}
	svg := out.String()
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	// Three points of throughput, and p50 and p99 of two of latency.
	if n := strings.Count(svg, "<circle"); n != 7 {
		t.Errorf("%d marks", n)
	}
	for _, text := range []string{"connections", "events stored", ">64<", ">256<", ">0<", ">1,000<", ">30,000<", "one INSERT per request", "p99"} {
		if !strings.Contains(svg, text) {
			t.Errorf("nowhere is %q", text)
		}
	}
	// The line goes from few connections to many, that is up: y falls.
	if !strings.Contains(svg, `<path d="M167.5 144.3L362.5 92.9" fill="none"`) {
		t.Errorf("another line: %s", svg)
	}
}

func TestWithoutPointsThereIsNoPlot(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	report := Report{Rows: []Row{rowOf(subject{name: "idle"}, map[string][]sample{"idle": samplesOf(30)})}}
	if err := report.WritePlot(&out); err == nil || out.Len() > 0 {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestTheVerticalAxisHasRoundSteps(t *testing.T) {
	t.Parallel()
	for most, want := range map[float64]float64{24_000: 2000, 30_000: 5000, 9.9: 1, 10: 2, 0.7: 0.1, 0: 1} {
		if got := roundStep(most); got != want {
			t.Errorf("up to %v in steps of %v, want %v", most, got, want)
		}
	}
}
