package bench

import (
	"math"
	"slices"
	"time"
)

// spread is how a figure came out over the rounds.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf summarises the values; of none, all figures are NaN.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	return spread{Median: median(values), Min: slices.Min(values), Max: slices.Max(values)}
}

func (s spread) extremes() string { return number(s.Min) + "–" + number(s.Max) }

// median is the value in the middle, or the mean of the two there. Of no values
// it is NaN.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// percentile is the smallest of the sorted values that is not less than the
// share p of them (nearest rank), so it is a value that did occur.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// latency says how long requests took, in milliseconds.
type latency struct {
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
}

// latencyOf sorts the durations and takes their percentiles.
func latencyOf(took []time.Duration) latency {
	slices.Sort(took)
	return latency{
		P50:  milliseconds(percentile(took, 0.50)),
		P99:  milliseconds(percentile(took, 0.99)),
		P999: milliseconds(percentile(took, 0.999)),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
