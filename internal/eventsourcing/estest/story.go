// Package estest tests what is built from package eventsourcing.
//
// A [Story] tests a rule without a database, and reads like the rule:
//
//	estest.Of(t, decider).Given(Opened{}).When(Close{By: "ada"}).Then(Closed{By: "ada"})
//
// [Memory] is a log for tests of whatever handles commands, and [LogTests] are
// the tests that it and the real one pass, so that a rule that holds on one
// holds on the other.
package estest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// Story is a command's test: what has happened, what was asked, what followed.
type Story[S, E any] struct {
	tb      testing.TB
	decider *eventsourcing.Decider[S, E]
	id      uuid.UUID
	past    []eventsourcing.Recorded
	state   *S
	command eventsourcing.Command[S, E]
	decided []E
	err     error
}

// Of begins the story of an aggregate that does not exist yet.
func Of[S, E any](tb testing.TB, decider *eventsourcing.Decider[S, E]) *Story[S, E] {
	tb.Helper()
	return &Story[S, E]{tb: tb, decider: decider, id: uuid.MustParse("0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01")}
}

// Given tells what has happened to the aggregate. The events go through JSON as
// they do in the log.
func (s *Story[S, E]) Given(past ...E) *Story[S, E] {
	s.tb.Helper()
	s.past = s.recorded(0, past)
	var err error
	if s.state, err = s.decider.Fold(nil, s.past); err != nil {
		s.tb.Fatalf("what is given cannot have happened: %v", err)
	}
	return s
}

// When lets the command decide.
func (s *Story[S, E]) When(command eventsourcing.Command[S, E]) *Story[S, E] {
	s.tb.Helper()
	s.command = command
	s.decided, s.err = command.Decide(s.state)
	return s
}

// Then expects exactly these events; none means that nothing has to happen. It
// gives the state after them.
func (s *Story[S, E]) Then(want ...E) *S {
	s.tb.Helper()
	got := s.recorded(len(s.past), s.decided)
	if s.err != nil || !slices.Equal(texts(s.recorded(len(s.past), want)), texts(got)) {
		s.tb.Fatal(s.tell(texts(s.recorded(len(s.past), want))))
	}
	after, err := s.decider.Fold(s.state, got)
	if err != nil {
		s.tb.Fatalf("what was decided does not fold: %v", err)
	}
	return after
}

// ThenRefused expects the refusal with this code.
func (s *Story[S, E]) ThenRefused(code string) {
	s.tb.Helper()
	if !fault.Is(s.err, code) {
		s.tb.Fatal(s.tell([]string{"refused: " + code}))
	}
}

// ThenRepeats expects that the request is known as the events of these versions.
func (s *Story[S, E]) ThenRepeats(first, last int) {
	s.tb.Helper()
	var repeated *eventsourcing.RepeatedError
	if !errors.As(s.err, &repeated) || *repeated != (eventsourcing.RepeatedError{First: first, Last: last}) {
		s.tb.Fatal(s.tell([]string{fmt.Sprintf("the answer of versions %d to %d again", first, last)}))
	}
}

// tell is the story as a person reads it. A line that is wanted and missing has
// a minus before it, one that came unasked a plus.
func (s *Story[S, E]) tell(want []string) string {
	got := texts(s.recorded(len(s.past), s.decided))
	if s.err != nil {
		got = []string{"error: " + s.err.Error()}
		if f, ok := fault.Of(s.err); ok {
			got = []string{"refused: " + f.Code + ": " + f.Message}
		}
	}
	var b strings.Builder
	section(&b, "given", texts(s.past), nil)
	section(&b, "when", []string{fmt.Sprintf("%T %s", s.command, text(s.command))}, nil)
	section(&b, "then", want, func(line string) string { return mark("- ", line, got) })
	section(&b, "but", got, func(line string) string { return mark("+ ", line, want) })
	return b.String()
}

func section(b *strings.Builder, title string, lines []string, edit func(string) string) {
	if len(lines) == 0 {
		lines = []string{"nothing"}
	}
	for _, line := range lines {
		if edit != nil {
			line = edit(line)
		} else {
			line = "  " + line
		}
		fmt.Fprintf(b, "\n%6s %s", title, line)
		title = ""
	}
}

func mark(sign, line string, others []string) string {
	if slices.Contains(others, line) {
		return "  " + line
	}
	return sign + line
}

// recorded is the facts as the log would keep them, a minute apart.
func (s *Story[S, E]) recorded(version int, facts []E) []eventsourcing.Recorded {
	s.tb.Helper()
	events, err := s.decider.Encode(s.id, version, facts)
	if err != nil {
		s.tb.Fatalf("events %v: %v", facts, err)
	}
	recorded := make([]eventsourcing.Recorded, len(events))
	for i, e := range events {
		recorded[i] = e.Recorded(receipt(e, version+i+1, int64(version+i+1)))
	}
	return recorded
}

func receipt(e eventsourcing.Event, version int, position int64) eventsourcing.Receipt {
	began := time.Date(2026, time.November, 21, 3, 4, 5, 0, time.UTC)
	return eventsourcing.Receipt{
		ID: e.ID, AggregateID: e.AggregateID, Version: version, Position: position,
		RecordedAt: eventsourcing.At(began.Add(time.Duration(position) * time.Minute)),
	}
}

func texts(events []eventsourcing.Recorded) []string {
	lines := make([]string, len(events))
	for i, e := range events {
		lines[i] = e.Name + " " + string(e.Payload)
	}
	return lines
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%+v", v)
	}
	return string(b)
}
