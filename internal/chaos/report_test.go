//go:build fault

package chaos

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jedib0t/go-pretty/v6/table"
)

func newID() string { return uuid.NewString() }

// A result is what came of one scenario.
type result struct {
	name             string
	promises         []string
	faults, kills    int
	failed           int           // requests that were answered 503 or not at all
	slowest          time.Duration // request
	events, requests int
	resumed          int
	recovery         time.Duration
	mu               sync.Mutex
	violations       []violation
}

func (r *result) note(v violation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, v)
}

// A tally adds up results by promise.
type tally struct{ results []*result }

func (t *tally) add(r *result) { t.results = append(t.results, r) }

// promised is P1 to P13 in a few words.
func promised() [][2]string {
	return [][2]string{
		{"P1", "acknowledged events survive"},
		{"P2", "an id is stored once"},
		{"P3", "a reused id is refused"},
		{"P4", "versions 1..n, one winner"},
		{"P5", "positions 1..N, one order"},
		{"P6", "batches are whole"},
		{"P7", "views equal the fold"},
		{"P8", "notifications are hints"},
		{"P9", "normal within 10 s"},
		{"P10", "clean failure within 12 s"},
		{"P11", "poison stops one aggregate"},
		{"P12", "rebuilds are invisible"},
		{"P13", "streams without gaps"},
	}
}

// table shows scenarios and promises. A violation counts for each promise that
// it breaks.
func (t *tally) table() string {
	one := table.NewWriter()
	one.AppendHeader(table.Row{"scenario", "faults", "kills", "events", "requests", "failed", "slowest", "resumed", "normal after", "violations"})
	for _, r := range t.results {
		one.AppendRow(table.Row{r.name, r.faults, r.kills, r.events, r.requests, r.failed, r.slowest.Round(time.Millisecond), r.resumed, r.recovery.Round(time.Millisecond), len(r.violations)})
	}
	all := table.NewWriter()
	all.AppendHeader(table.Row{"", "promise", "scenarios", "faults", "kills", "events", "violations"})
	for _, p := range promised() {
		var scenarios, faults, kills, events, violations int
		for _, r := range t.results {
			if !slices.Contains(r.promises, p[0]) {
				continue
			}
			scenarios++
			faults, kills, events = faults+r.faults, kills+r.kills, events+r.events
			for _, v := range r.violations {
				if slices.Contains(v.promises, p[0]) {
					violations++
				}
			}
		}
		all.AppendRow(table.Row{p[0], p[1], scenarios, faults, kills, strconv.Itoa(events), violations})
	}
	return one.Render() + "\n\n" + all.Render()
}
