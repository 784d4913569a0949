package bench

import (
	"math"
	"testing"
	"time"
)

func TestMedianIsTheMiddleOrTheMeanOfTheTwoThere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{3, 1}, 2},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("no values have a median")
	}
}

func TestMedianLeavesTheValuesInTheirOrder(t *testing.T) {
	t.Parallel()
	values := []float64{3, 1, 2}
	median(values)
	if values[0] != 3 || values[1] != 1 {
		t.Errorf("the rounds are now %v", values)
	}
}

func TestSpreadHasTheExtremes(t *testing.T) {
	t.Parallel()
	if got, want := spreadOf([]float64{5, 9, 2}), (spread{Median: 5, Min: 2, Max: 9}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPercentilesAreValuesThatOccurred(t *testing.T) {
	t.Parallel()
	var took []time.Duration
	for i := range 1000 {
		took = append(took, time.Duration(1000-i)*time.Millisecond) // falling: latencyOf sorts
	}
	if got, want := latencyOf(took), (latency{P50: 500, P99: 990, P999: 999}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := percentile([]time.Duration{7}, 0.5); got != 7 {
		t.Errorf("the median of one value is %v", got)
	}
	if got := percentile(nil, 0.99); got != 0 {
		t.Errorf("a percentile of nothing is %v", got)
	}
}
