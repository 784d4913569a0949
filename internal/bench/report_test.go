package bench

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheReportIsOneRowForEachSubject(t *testing.T) {
	t.Parallel()
	samples := map[string][]sample{
		"article/64": {{figure: 1000}, {figure: 1200}},
		"append/64": {
			{figure: 7000, latency: &latency{P50: 2, P99: 9, P999: 20}, cores: &cores{App: 0.8, PostgreSQL: 0.5, Client: 0.3}},
			{figure: 8400, latency: &latency{P50: 4, P99: 11, P999: 40}, cores: &cores{App: 1, PostgreSQL: 0.7, Client: 0.1}},
		},
		"idle": {{figure: 30.25}, {figure: 30.25}},
	}
	report := Report{
		Command: "app bench", Rounds: 2, Seconds: 5,
		Machine: Machine{
			OS: "linux/amd64", CPU: "Some CPU", Cores: 2, Go: "go1.26", PostgreSQL: "15.1",
			Settings: []Setting{{"fsync", "on"}}, CommitMillis: 0.25,
		},
		Rows: []Row{
			rowOf(subject{name: "article/64", what: "baseline", unit: perSecond}, samples),
			rowOf(subject{name: "append/64", what: "appends", unit: perSecond, checks: []check{
				versus("article/64").least(6), latencyAt(p99).most(8), versus("insert").least(1),
			}}, samples),
			rowOf(subject{name: "idle", what: "memory", unit: mebibytes, checks: []check{value().most(64)}}, samples),
		},
	}
	var out strings.Builder
	if err := report.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := `app bench
Some CPU, 2 cores, linux/amd64, go1.26
PostgreSQL 15.1: fsync=on
One commit of one row by one client: 0.25 ms
Medians of 2 rounds of 5 s; ratios are medians of each round's own.

NAME        WHAT      MEDIAN    MIN–MAX      P50 MS  P99  P99.9  APP+PG+CLIENT CORES  COMPARED        TARGET  MET
article/64  baseline  1,100 /s  1,000–1,200
append/64   appends   7,700 /s  7,000–8,400       3   10     30  0.90 + 0.60 + 0.20   7 × article/64  ≥ 6     yes
                                                                                      p99 10 ms       ≤ 8     no
idle        memory    30.2 MiB  30.2–30.2                                             30.2 MiB        ≤ 64    yes
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestNumbersKeepTheDigitsThatMeanSomething(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]string{
		0: "0", 6: "6", 0.7: "0.70", 1.256: "1.26", 12.34: "12.3", 123.4: "123", 999.7: "1000",
		1234.5: "1,234", 80_000: "80,000", 1_234_567: "1,234,567", -1500: "-1,500",
	} {
		if got := number(value); got != want {
			t.Errorf("%v is written %q, want %q", value, got, want)
		}
	}
}
