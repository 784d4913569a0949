// Package verify holds a live database against what the log promises: it
// computes everything again from the data and names what does not fit.
//
// Most of what it looks for cannot happen through this program, whose rights and
// triggers keep it from changing history. It is for what others can do: a
// superuser's UPDATE, a restore that lost the end, a disk that lies.
//
// # What is checked
//
// A list of small checks (see [checks]), each of them one question:
//
//	head        the log ends where its head says
//	triggers    what refuses changes of history is there and does refuse
//	indexes     what keeps ids, positions and versions unique is there
//	rights      nobody but the owner may write history past append_events
//	duplicates  ids and positions come once, versions are 1..n, by the data alone
//	views       no view is ahead of the log or has rows or locks of nothing
//	log         positions without gaps, times that never fall, known names
//	seals       the chain is whole, and each seal is the hash of its events
//	rows        each view's rows are the fold of their events
//	snapshots   each snapshot is the fold of its events
//
// The last four read the whole log once, a thousand events at a time, and can
// be cut into ranges; the others are single questions. Which events a run is
// about is settled when it begins: whatever is appended later is for the next.
//
// # Guarantees
//
// It is safe beside live traffic: it changes nothing and takes no lock that an
// append or a view waits for. A row is compared in one snapshot with the version
// that its view says it has, so that a view at work is no finding. Memory is
// bounded by a page of events and the rows they make, not by the log.
//
// What is found is true; what is not found may still be: the events after the
// last seal can be changed without a trace, and so can everything, by one who
// rewrites all seals too. Against that keep a seal outside the database
// (eventstore.NewestSeal) and give it to Options.
package verify

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/postgres"
)

// Options say what to verify, and how much.
type Options struct {
	// DB is a pool without a statement timeout: some questions are about the
	// whole log.
	DB       *bun.DB
	Registry *eventsourcing.Registry
	Views    []aggregator.View
	// Models are the write models whose snapshots are looked at.
	Models []eventsourcing.Model
	// From and To are the positions to look at, both inclusive; zero means the
	// first and the last. The range is widened to whole seals.
	From, To int64
	// Sample compares the rows of this many random aggregates of each view
	// instead of all; zero means all.
	Sample int
	// Seal was kept outside the database; nil if none was.
	Seal *eventstore.Seal
	// Asking is told the name of each check that looks at everything at once
	// before it begins; those of a large log take their time. nil is allowed.
	Asking func(check string)
	// Progress is told the last position that was looked at, and the last there
	// is to look at. nil is allowed.
	Progress func(position, end int64)
}

// Finding is one thing that is not as it must be.
type Finding struct {
	// Check is which check found it.
	Check string `json:"check"`
	// Position is where in the log, if it is about a place in it.
	Position int64 `json:"position,omitempty"`
	// View and AggregateID are set where it is about a row of a view.
	View        string     `json:"view,omitempty"`
	AggregateID *uuid.UUID `json:"aggregate_id,omitempty"`
	// Detail is for people.
	Detail string `json:"detail"`
}

// Report is what came of a run.
type Report struct {
	// From and To are the range of positions after it was widened to whole seals,
	// and CheckedTo how far the run came: less than To if it was interrupted.
	From      int64 `json:"from"`
	To        int64 `json:"to"`
	CheckedTo int64 `json:"checked_to"`
	// SealedTo is the last sealed position. What comes after can still be changed
	// without a trace.
	SealedTo int64 `json:"sealed_to"`
	Events   int64 `json:"events"`
	Seals    int64 `json:"seals"`
	// Rows counts the aggregates whose rows were compared, one for each view.
	Rows      int64 `json:"rows"`
	Snapshots int64 `json:"snapshots"`
	// FirstBadPosition is the lowest position of all findings; 0 if none has one.
	FirstBadPosition int64     `json:"first_bad_position"`
	Findings         []Finding `json:"findings"`
	// Omitted counts findings beyond the first thousand.
	Omitted int `json:"omitted"`
	// Notes are what is known and no damage: aggregates whose next event a view
	// cannot apply, views that were not compared because they are to be rebuilt.
	Notes []Finding `json:"notes"`
}

// OK reports whether everything that was looked at is as it must be.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// maxFindings bounds the report: after a rewrite of everything, the first
// thousand say as much as all.
const maxFindings = 1000

// run is one verification under way.
type run struct {
	Options
	report *Report
	// What there was when the run began: the head's position, the last position
	// there is (the same unless something is wrong), and the last seal's number.
	head, end, lastSeal int64
	// otherRevision are the views whose rows another rule has made.
	otherRevision map[string]bool
	// newer are the views with rows that only a newer program can fold.
	newer map[string]bool
}

// add adds a finding.
func (r *run) add(f Finding) {
	if f.Position > 0 && (r.report.FirstBadPosition == 0 || f.Position < r.report.FirstBadPosition) {
		r.report.FirstBadPosition = f.Position
	}
	if len(r.report.Findings) == maxFindings {
		r.report.Omitted++
		return
	}
	r.report.Findings = append(r.report.Findings, f)
}

// check is one question about the database, asked in a transaction of its own
// that sees one moment.
type check struct {
	name string
	ask  func(context.Context, *inquiry) error
}

// inquiry is a check being asked: the moment it sees, and where to put what it finds.
type inquiry struct {
	*run

	check string
	tx    bun.Tx
}

// found adds a finding at a position; 0 where it is about no place in the log.
func (q *inquiry) found(position int64, format string, args ...any) {
	q.add(Finding{Check: q.check, Position: position, Detail: fmt.Sprintf(format, args...)})
}

// checks are the questions that are not about one event after the other. A new
// one is a function and a line here.
func checks() []check {
	return []check{
		{"head", checkHead},
		{"triggers", checkTriggers},
		{"indexes", checkIndexes},
		{"rights", checkRights},
		{"duplicates", checkPositions},
		{"duplicates", checkIDs},
		{"duplicates", checkVersions},
		{"views", checkViews},
		{"snapshots", checkSnapshots},
	}
}

// Run verifies the database. Its error is about the run itself, which then came
// as far as the report says; what is wrong in the database is a finding.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := &run{Options: o, otherRevision: make(map[string]bool), newer: make(map[string]bool), report: &Report{Findings: []Finding{}, Notes: []Finding{}}}
	if r.Asking == nil {
		r.Asking = func(string) {}
	}
	if r.Progress == nil {
		r.Progress = func(int64, int64) {}
	}
	if err := r.begin(ctx); err != nil {
		return r.report, err
	}
	for _, c := range checks() {
		if err := r.ask(ctx, c); err != nil {
			return r.report, err
		}
	}
	if err := r.probe(ctx); err != nil {
		return r.report, err
	}
	if err := r.scan(ctx); err != nil {
		return r.report, err
	}
	return r.report, r.sample(ctx)
}

// ask runs a check in one snapshot.
func (r *run) ask(ctx context.Context, c check) error {
	r.Asking(c.name)
	err := r.inSnapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		return c.ask(ctx, &inquiry{run: r, check: c.name, tx: tx})
	})
	if err != nil {
		return fmt.Errorf("check %s: %w", c.name, err)
	}
	return nil
}

// inSnapshot runs f in a transaction that sees one moment and cannot write.
func (r *run) inSnapshot(ctx context.Context, f func(context.Context, bun.Tx) error) error {
	return postgres.InTx(ctx, r.DB, postgres.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true, PoolWait: time.Minute}, f)
}

// begin settles which events the run is about.
func (r *run) begin(ctx context.Context) error {
	return r.inSnapshot(ctx, func(ctx context.Context, tx bun.Tx) error {
		var last int64
		err := tx.NewRaw(`SELECT coalesce((SELECT h."position" FROM event_log_head h LIMIT 1), 0),
		        coalesce((SELECT max(e."position") FROM events e), 0),
		        coalesce(max(s.number), 0), coalesce(max(s.last_position), 0) FROM event_seals s`).
			Scan(ctx, &r.head, &last, &r.lastSeal, &r.report.SealedTo)
		if err != nil {
			return fmt.Errorf("find the end of the log: %w", err)
		}
		// Where the two differ there is a finding; what is there is looked at.
		r.end = max(r.head, last)
		from, to := max(r.From, 1), r.end
		if r.To > 0 {
			to = min(r.To, r.end)
		}
		err = tx.NewRaw(`SELECT least(?0, min(s.first_position) FILTER (WHERE ?0 BETWEEN s.first_position AND s.last_position)),
		        greatest(?1, max(s.last_position) FILTER (WHERE ?1 BETWEEN s.first_position AND s.last_position))
		   FROM event_seals s`, from, to).Scan(ctx, &from, &to)
		if err != nil {
			return fmt.Errorf("widen the range to whole seals: %w", err)
		}
		r.report.From, r.report.To = from, min(to, r.end)
		r.report.CheckedTo = from - 1
		return nil
	})
}
