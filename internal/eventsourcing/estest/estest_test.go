package estest_test

import (
	"fmt"
	"strings"
	"testing"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventsourcing/estest"
	"onepg/internal/fault"
)

func TestMemoryIsALog(t *testing.T) {
	t.Parallel()
	estest.LogTests(t, func(*testing.T) eventsourcing.Log { return estest.NewMemory(estest.Types()...) })
}

// A lamp is the smallest thing with a rule.
type lamp struct{ On bool }

type (
	lampEvent interface{ aboutLamp() }
	installed struct{}
	switched  struct {
		On bool `json:"on"`
	}
)

func (installed) aboutLamp() {}
func (switched) aboutLamp()  {}

type turn struct {
	On      bool                  `json:"on"`
	Request eventsourcing.Request `json:"-"`
}

func (c turn) Decide(state *lamp) ([]lampEvent, error) {
	switch {
	case c.Request.Key != "":
		return nil, &eventsourcing.RepeatedError{First: 2, Last: 2}
	case state == nil:
		return nil, fault.New(fault.NotFound, "not-found", "There is no lamp.")
	case state.On == c.On:
		return nil, nil
	}
	return []lampEvent{switched{On: c.On}}, nil
}

func lamps(t *testing.T) *eventsourcing.Decider[lamp, lampEvent] {
	t.Helper()
	d, err := eventsourcing.NewDecider([]eventsourcing.EventType{
		eventsourcing.Type[installed]("lamp.installed", eventsourcing.Creates),
		eventsourcing.Type[switched]("lamp.switched", eventsourcing.Changes),
	}, func(_ *lamp, event lampEvent, _ eventsourcing.Recorded) (*lamp, error) {
		e, ok := event.(switched)
		return &lamp{On: ok && e.On}, nil
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAStoryThatHoldsPasses(t *testing.T) {
	t.Parallel()
	d := lamps(t)
	if after := estest.Of(t, d).Given(installed{}).When(turn{On: true}).Then(switched{On: true}); !after.On {
		t.Error("the state after it is not told")
	}
	estest.Of(t, d).Given(installed{}, switched{On: true}).When(turn{On: true}).Then()
	estest.Of(t, d).When(turn{On: true}).ThenRefused("not-found")
	estest.Of(t, d).Given(installed{}).When(turn{Request: eventsourcing.Request{Key: "k"}}).ThenRepeats(2, 2)
}

// witness is a test that is allowed to fail.
type witness struct {
	testing.TB

	said string
}

func (*witness) Helper() {}

func (w *witness) Fatal(args ...any) { w.said = fmt.Sprint(args...); panic(w) }

// failure is what a failing story says.
func failure(t *testing.T, story func(*estest.Story[lamp, lampEvent])) (said string) {
	t.Helper()
	w := &witness{TB: t}
	defer func() {
		if recover() != w {
			t.Error("the story passed")
		}
		said = w.said
	}()
	story(estest.Of(w, lamps(t)))
	return ""
}

func TestAStoryThatDoesNotHoldIsTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		story func(*estest.Story[lamp, lampEvent])
		want  string
	}{
		{"another event", func(s *estest.Story[lamp, lampEvent]) {
			s.Given(installed{}).When(turn{On: true}).Then(switched{On: false})
		}, `
 given   lamp.installed {}
  when   estest_test.turn {"on":true}
  then - lamp.switched {"on":false}
   but + lamp.switched {"on":true}`},
		{"one event too many", func(s *estest.Story[lamp, lampEvent]) {
			s.Given(installed{}).When(turn{On: true}).Then(switched{On: true}, installed{})
		}, `
 given   lamp.installed {}
  when   estest_test.turn {"on":true}
  then   lamp.switched {"on":true}
       - lamp.installed {}
   but   lamp.switched {"on":true}`},
		{"a refusal nobody wanted", func(s *estest.Story[lamp, lampEvent]) {
			s.When(turn{On: true}).Then(switched{On: true})
		}, `
 given   nothing
  when   estest_test.turn {"on":true}
  then - lamp.switched {"on":true}
   but + refused: not-found: There is no lamp.`},
		{"a refusal that did not come", func(s *estest.Story[lamp, lampEvent]) {
			s.Given(installed{}).When(turn{On: true}).ThenRefused("not-found")
		}, `
 given   lamp.installed {}
  when   estest_test.turn {"on":true}
  then - refused: not-found
   but + lamp.switched {"on":true}`},
		{"a repetition of something else", func(s *estest.Story[lamp, lampEvent]) {
			s.Given(installed{}).When(turn{Request: eventsourcing.Request{Key: "k"}}).ThenRepeats(1, 2)
		}, `
 given   lamp.installed {}
  when   estest_test.turn {"on":false}
  then - the answer of versions 1 to 2 again
   but + error: the request is recorded as versions 2 to 2`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := failure(t, c.story); strings.TrimRight(got, "\n") != c.want {
				t.Errorf("got:%s\nwant:%s", got, c.want)
			}
		})
	}
}
