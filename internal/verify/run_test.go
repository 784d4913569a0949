package verify_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/verify"
)

// events is the size of the store, as promised; "go test ./internal/verify
// -events 5000" is quicker.
var events = flag.Int("events", 100_000, "events in the clean store")

func TestACleanStoreUnderLiveWritesHasNoFindings(t *testing.T) {
	t.Parallel()
	size := *events
	s := newStore(t)
	s.fill(size, 1000)

	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for ctx.Err() == nil {
			<-pace.C
			if err := errors.Join(s.append(ctx, 10), s.renameSome(ctx, 10)); err != nil && ctx.Err() == nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	stop := s.runViews()
	sealer := eventstore.NewSealer(eventstore.SealerOptions{
		DB: s.db, Interval: time.Millisecond, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	sealed := make(chan error, 1)
	go func() { sealed <- sealer.Run(ctx) }()

	began := time.Now()
	report := s.verify(s.options())
	took := time.Since(began)
	var head int64
	if err := s.db.NewRaw(`SELECT "position" FROM event_log_head`).Scan(t.Context(), &head); err != nil {
		t.Fatal(err)
	}
	cancel()
	stop()
	for _, done := range []chan error{written, sealed} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if !report.OK() {
		t.Fatalf("%+v", report.Findings)
	}
	if report.Events < int64(size) || report.Events != report.To || report.CheckedTo != report.To || report.Rows == 0 || report.Seals < int64(size/1000) {
		t.Errorf("it looked at too little: %+v", report)
	}
	if head == report.To {
		t.Error("nothing was written meanwhile")
	}
	t.Logf("%d events in %s, in which %d more were recorded", report.To, took, head-report.To)
}

func TestASealKeptOutsideProvesTheLog(t *testing.T) {
	t.Parallel()
	rewrite := `DO $$
	DECLARE s event_seals; before bytea := (SELECT hash FROM event_seals WHERE number = 0);
	BEGIN
	  FOR s IN SELECT * FROM event_seals WHERE number > 0 ORDER BY number LOOP
	    UPDATE event_seals SET previous = before, (hash, digests) = (
	      SELECT sha256(int8send(s.number) || int8send(s.first_position) || int8send(s.last_position) || before || string_agg(event_digest(e), '' ORDER BY e."position")),
	             string_agg(substr(event_digest(e), 1, 8), '' ORDER BY e."position")
	        FROM events e WHERE e."position" BETWEEN s.first_position AND s.last_position)
	     WHERE number = s.number RETURNING hash INTO before;
	  END LOOP;
	END $$`
	for name, c := range map[string]struct {
		tamper []string
		words  string // empty: nothing is wrong
	}{
		"nothing happened": {nil, ""},
		"all seals rewritten": {
			[]string{`UPDATE events SET actor = 'x' WHERE "position" = 7`, rewrite},
			"seal 5 is not the one kept outside",
		},
		"end of the log gone, with its seals": {
			[]string{
				`DELETE FROM events WHERE "position" > 80`, `DELETE FROM event_seals WHERE last_position > 80`,
				`UPDATE event_log_head SET "position" = 80`, `UPDATE view_positions SET "position" = 80`,
				`DELETE FROM view_locks l WHERE NOT EXISTS (SELECT FROM events e WHERE e.aggregate_id = l.aggregate_id)`,
				`DELETE FROM users u WHERE NOT EXISTS (SELECT FROM events e WHERE e.aggregate_id = u.id)`,
			},
			"the seal kept outside is number 5, up to position 100; this log ends at position 80",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.fill(110, 20)
			kept, ok, err := eventstore.NewestSeal(t.Context(), s.db)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			s.tamper(c.tamper...)
			if report := s.verify(s.options()); !report.OK() {
				t.Errorf("without the seal from outside this must look clean: %+v", report.Findings)
			}
			o := s.options()
			o.Seal = &kept
			report := s.verify(o)
			if c.words == "" && !report.OK() || c.words != "" && !has(report, "seals", report.FirstBadPosition, c.words) {
				t.Errorf("want %q: %+v", c.words, report.Findings)
			}
		})
	}
}

func TestRangesShareTheWork(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.fill(110, 20)
	whole := s.verify(s.options())
	if !whole.OK() || whole.To != 110 || whole.SealedTo != 100 || whole.Seals != 5 {
		t.Fatalf("%+v", whole)
	}
	s.tamper(
		`UPDATE events SET actor = 'x' WHERE "position" = 33`,
		`UPDATE users SET name = 'x' WHERE id = (SELECT aggregate_id FROM events WHERE "position" = 71)`)
	var events, rows, findings int64
	for _, c := range []struct{ from, to, widenedFrom, widenedTo int64 }{
		{0, 35, 1, 40}, {41, 60, 41, 60}, {65, 75, 61, 80}, {81, 103, 81, 103}, {104, 0, 104, 110}, {500, 600, 500, 110},
	} {
		o := s.options()
		o.From, o.To = c.from, c.to
		report := s.verify(o)
		if report.From != c.widenedFrom || report.To != c.widenedTo {
			t.Errorf("%d to %d is widened to %d to %d, want %d to %d", c.from, c.to, report.From, report.To, c.widenedFrom, c.widenedTo)
		}
		events += report.Events
		rows += report.Rows
		findings += int64(len(report.Findings))
		if bad := len(report.Findings) > 0; bad != (c.from == 0 || c.from == 65) {
			t.Errorf("%d to %d: %+v", c.from, c.to, report.Findings)
		}
	}
	if events != 110 || rows != whole.Rows || findings != 2 {
		t.Errorf("the ranges looked at %d events and %d rows, the whole at %d and %d; %d findings, want 2", events, rows, whole.Events, whole.Rows, findings)
	}
}

func TestARunThatIsInterruptedSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.fill(4500, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := s.options()
	o.Progress = func(position, _ int64) {
		if position >= 2000 {
			cancel()
		}
	}
	report, err := verify.Run(ctx, o)
	if err == nil || report.CheckedTo != 2000 || report.To != 4500 || !report.OK() {
		t.Fatalf("%v, %+v", err, report)
	}
	o.Progress, o.From = nil, report.CheckedTo+1
	if rest := s.verify(o); rest.From != 2001 || rest.CheckedTo != 4500 || !rest.OK() {
		t.Errorf("the rest: %+v", rest)
	}
}

func TestWhatTakesLongIsToldBeforeItBegins(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.fill(20, 10)
	o := s.options()
	o.Sample = 5
	var told []string
	o.Asking = func(check string) { told = append(told, check) }
	o.Progress = func(position, _ int64) { told = append(told, strconv.FormatInt(position, 10)) }
	s.verify(o)
	want := []string{"head", "triggers", "indexes", "rights", "duplicates", "duplicates", "duplicates", "views", "snapshots", "20", "20", "rows"}
	if !slices.Equal(told, want) {
		t.Errorf("told is %q, want %q", told, want)
	}
}

func TestASampleOfRowsIsCompared(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.fill(200, 100)
	s.exec("UPDATE users SET name = 'x'")
	o := s.options()
	o.Sample = 30
	report := s.verify(o)
	if report.Rows == 0 || report.Rows > 30 || report.OK() || report.Events != 200 {
		t.Errorf("%+v", report)
	}
}

func TestWhatIsParkedIsToldAndNoDamage(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	// An event that clients cannot send, and that the view cannot apply.
	if err := s.append(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	s.exec(`SELECT append_events(ARRAY[gen_random_uuid()], ARRAY[?::uuid], ARRAY['user.updated'], ARRAY['{"name":7}']::json[])`, s.ids[0])
	s.catchUp()
	report := s.verify(s.options())
	if !report.OK() || len(report.Notes) != 1 || report.Notes[0].Position != 11 || *report.Notes[0].AggregateID != s.ids[0] {
		t.Errorf("%+v", report)
	}
}

func TestAnEmptyStoreIsClean(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if report := s.verify(s.options()); !report.OK() || report.To != 0 || report.Events != 0 {
		t.Errorf("%+v", report)
	}
}

func TestAnEventNobodyKnowsIsAFinding(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.fill(20, 10)
	registry, err := eventsourcing.NewRegistry(s.domain.Events[:1]...)
	if err != nil {
		t.Fatal(err)
	}
	o := s.options()
	o.Registry = registry
	if report := s.verify(o); !has(report, "rows", 8, eventsourcing.ErrUnknown.Error()) {
		t.Errorf("%+v", report)
	}
}

func TestAReportIsBounded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.fill(1500, 1000)
	s.tamper("UPDATE events SET actor = 'x'", "UPDATE users SET name = 'x'")
	report := s.verify(s.options())
	if len(report.Findings) != 1000 || report.Omitted == 0 || report.FirstBadPosition != 1 {
		t.Errorf("%d findings, %d omitted, first bad position %d", len(report.Findings), report.Omitted, report.FirstBadPosition)
	}
}

func TestAGoneDatabaseIsAnErrorAndNoFinding(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.fill(10, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, err := verify.Run(ctx, s.options())
	if err == nil || !report.OK() {
		t.Errorf("%v, %+v", err, report)
	}
	if !errors.Is(err, context.Canceled) {
		t.Error(fmt.Errorf("the cause is lost: %w", err))
	}
}
