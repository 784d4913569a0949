package bench

import (
	"strings"
	"testing"

	"onepg/internal/fault"
)

func samplesOf(figures ...float64) []sample {
	var list []sample
	for _, f := range figures {
		list = append(list, sample{figure: f, latency: &latency{P50: f / 10, P99: f}})
	}
	return list
}

func TestARatioIsTheMedianOfTheRoundsOwn(t *testing.T) {
	t.Parallel()
	// Of the medians it would be 40 / 10 = 4.
	own, other := samplesOf(40, 10, 90), samplesOf(10, 5, 15)
	if got := versus("other").assess(own, other); got.Figure != 4 || got.Met != nil {
		t.Errorf("got %v", got)
	}
	own, other = samplesOf(40, 10, 90), samplesOf(10, 1, 90)
	if got := versus("other").assess(own, other); got.Figure != 4 {
		t.Errorf("ratios 4, 10 and 1 came to %v", got.Figure)
	}
}

func TestATargetIsMetAtItsLimitAndNotBeyond(t *testing.T) {
	t.Parallel()
	own, base := samplesOf(60), samplesOf(10)
	for _, c := range []struct {
		name  string
		check check
		met   bool
	}{
		{"at least, at the limit", versus("base").least(6), true},
		{"at least, below", versus("base").least(6.01), false},
		{"at most, at the limit", value().most(60), true},
		{"at most, above", value().most(59), false},
		{"p50", latencyAt(p50).most(6), true},
		{"p99", latencyAt(p99).most(6), false},
	} {
		if got := c.check.assess(own, base); got.Met == nil || *got.Met != c.met {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestAnUnknownBenchmarkIsRefusedWithTheKnownOnes(t *testing.T) {
	t.Parallel()
	if list, err := chosen([]string{"read", "append"}); err != nil || len(list) != 2 || list[0].name != "append" {
		t.Errorf("got %v, %v", list, err)
	}
	_, err := chosen([]string{"apend"})
	if !fault.Is(err, "benchmark-unknown") || !strings.Contains(err.Error(), "growth") {
		t.Errorf("got %v", err)
	}
}
