package aggregator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// mended is the view under test after somebody has mended its rule.
func mended() aggregator.View {
	return aggregator.Define[thing, event]("things", "thing", func(t *thing, e event, from eventsourcing.Recorded) (*thing, error) {
		if a, ok := e.(added); ok {
			next := *t
			next.Sum, next.Version = t.Sum+a.N, from.Version
			return &next, nil
		}
		return evolve(t, e, from)
	})
}

// due makes everything that is parked due now: the tests do not wait for the
// back-off.
func (w *world) due() {
	w.Exec("UPDATE view_parked SET retry_at = clock_timestamp() WHERE retry_at IS NOT NULL")
}

// Whatever is wrong with an event, it is the only aggregate that stops, and the
// list says what and why.
func TestEveryKindOfPoisonParksItsAggregate(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		poison func(w *world, id uuid.UUID) // appended as the third event
		known  func([]eventsourcing.EventType)
		reason string
	}{
		"the handler fails":  {func(w *world, id uuid.UUID) { w.append(id, added{13}) }, nil, errPoison.Error()},
		"the handler panics": {func(w *world, id uuid.UUID) { w.append(id, added{666}) }, nil, "panic: the number of the beast"},
		"the payload does not decode": {func(w *world, id uuid.UUID) {
			e := named(w.t, id, added{})
			e.Payload = json.RawMessage(`{"n":"five"}`)
			if _, err := w.Log.Append(w.t.Context(), []eventsourcing.Event{e}); err != nil {
				w.t.Fatal(err)
			}
		}, nil, "cannot unmarshal string"},
		"the upcaster fails": {func(w *world, id uuid.UUID) { w.append(id, added{77}) }, func(types []eventsourcing.EventType) {
			eventsourcing.Upcasts(func(p json.RawMessage) (json.RawMessage, error) {
				if strings.Contains(string(p), "77") {
					return nil, errors.New("no way up")
				}
				return p, nil
			})(&types[1])
		}, "no way up"},
		"the upcaster panics": {func(w *world, id uuid.UUID) { w.append(id, added{77}) }, func(types []eventsourcing.EventType) {
			eventsourcing.Upcasts(func(p json.RawMessage) (json.RawMessage, error) {
				if strings.Contains(string(p), "77") {
					panic("no way up")
				}
				return p, nil
			})(&types[1])
		}, "panic: no way up"},
		"the table refuses the row":      {func(w *world, id uuid.UUID) { w.append(id, added{500}) }, nil, "things_sum_check"},
		"the database refuses the value": {func(w *world, id uuid.UUID) { w.append(id, added{1 << 40}) }, nil, "22003"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Exec("ALTER TABLE things ADD CONSTRAINT things_sum_check CHECK (sum NOT BETWEEN 400 AND 600)")
			known := types()
			if c.known != nil {
				c.known(known)
			}
			sick, well := uuid.New(), uuid.New()
			w.append(well, made{}, added{1})
			w.append(sick, made{}, added{2})
			c.poison(w, sick)
			w.append(well, added{3})
			w.append(sick, added{4})
			w.append(well, added{5})
			r := w.replica(known)
			if err := r.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := w.sums(); got[sick] != 2 || got[well] != 9 {
				t.Errorf("sums %d and %d, want 2 and 9", got[sick], got[well])
			}
			parked, err := r.Parked(t.Context(), "things", 0, 10)
			if err != nil || len(parked) != 1 {
				t.Fatalf("parked %+v, %v", parked, err)
			}
			p := parked[0]
			if p.AggregateID != sick || p.Event.Version != 3 || p.Event.AggregateID != sick || p.Attempts != 1 || p.RetryAt == nil ||
				!strings.Contains(p.Error, c.reason) {
				t.Errorf("parked %+v, want the event of version 3 and %q", p, c.reason)
			}
		})
	}
}

func TestParkedEventsAreTriedFiveTimesAndThenOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.New()
	w.append(id, made{}, added{13}, added{1})
	r := w.run(types())
	attempts := func() string {
		return strings.Join(w.Strings("SELECT format('%s %s', attempts, retry_at IS NULL) FROM view_parked"), ",")
	}
	for want := 2; want <= 5; want++ {
		w.until(r, "parked", func(s aggregator.Status) bool { return s.Parked == 1 })
		w.due()
		w.until(r, "tried again", func(aggregator.Status) bool { return strings.HasPrefix(attempts(), strconv.Itoa(want)) })
	}
	if got := attempts(); got != "5 t" {
		t.Errorf("attempts, and whether that was all: %s, want 5 t", got)
	}
	if n, err := r.Retry(t.Context(), "things", id); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	w.until(r, "tried because somebody asked", func(aggregator.Status) bool { return attempts() == "2 f" })
	for _, c := range []struct {
		view string
		id   uuid.UUID
	}{{"things", uuid.New()}, {"nothings", id}} {
		if _, err := r.Retry(t.Context(), c.view, c.id); !fault.Is(err, "not-found") {
			t.Errorf("retry %v: %v, want not-found", c, err)
		}
	}
}

// The order of an aggregate's events is kept across parking and any number of
// events that wait.
func TestARetryAfterTheFixAppliesAllThatWaitedInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sick := uuid.New()
	w.append(sick, made{}, added{13})
	for range 5 {
		w.append(sick, slices.Repeat([]event{added{1}}, 500)...)
	}
	if err := w.replica(types()).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.due()
	fixed := w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{mended()}})
	w.Start(fixed)
	w.until(fixed, "free of what was parked", func(s aggregator.Status) bool { return s.Parked == 0 })
	if got := w.sums()[sick]; got != 2513 {
		t.Errorf("sum %d, want 2513", got)
	}
	last := w.append(sick, added{7})
	w.await(fixed, last)
	if got := w.sums()[sick]; got != 2520 {
		t.Errorf("sum %d after one more event, want 2520", got)
	}
}

// A retry by a replica that does not know what waits behind leaves it to a newer
// one.
func TestARetryStopsBeforeAnUnknownEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sick := uuid.New()
	w.append(sick, made{}, added{13}, added{1}, broken{})
	if err := w.replica(types()).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.due()
	old := w.Runner(aggregatortest.Replica{Known: types()[:2], Views: []aggregator.View{mended()}})
	stop := w.Start(old)
	w.until(old, "as far as it can", func(aggregator.Status) bool { return w.sums()[sick] == 14 })
	stop()
	if got := w.status(old).Parked; got != 1 {
		t.Errorf("%d parked, want the unknown event", got)
	}
	w.due()
	w.Start(w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{mended()}}))
	w.until(old, "free of what was parked", func(s aggregator.Status) bool { return s.Parked == 0 })
	if got := w.sums(); len(got) != 0 {
		t.Errorf("rows %v, want none", got)
	}
}

func TestAViewHaltsWhenTooMuchFails(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		well, sick int
		halted     bool
	}{
		"nine of ten":                        {1, 9, false},
		"ten of a few":                       {5, 10, true},
		"ten of more than a thousand":        {500, 10, false},
		"a hundred of ten thousand and more": {5100, 100, false},
		"a hundred and one":                  {5100, 101, true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var all []eventsourcing.Event
			for range c.well {
				id := uuid.New()
				all = append(all, named(t, id, made{}), named(t, id, added{1}))
			}
			for range c.sick {
				id := uuid.New()
				all = append(all, named(t, id, made{}), named(t, id, added{13}))
			}
			for part := range slices.Chunk(all, 1000) {
				if _, err := w.Log.Append(t.Context(), part); err != nil {
					t.Fatal(err)
				}
			}
			r := w.replica(types())
			if err := r.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := w.status(r)
			if got := s.Status == "halted"; got != c.halted || s.Parked != c.sick || c.halted != (s.Reason != "") {
				t.Fatalf("%+v, want halted: %t", s, c.halted)
			}
		})
	}
}

// A halted view stands still for everybody until somebody asks, and goes on when
// what was wrong is mended.
func TestAHaltedViewGoesOnWhenAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 10 {
		w.append(uuid.New(), made{}, added{13})
	}
	r := w.run(types())
	w.until(r, "halted", func(s aggregator.Status) bool { return s.Status == "halted" })
	well := uuid.New()
	last := w.append(well, made{}, added{4})
	if err := w.replica(types()).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := w.status(r); s.Position >= last || s.LagEvents != 2 {
		t.Errorf("%+v: went on without being asked", s)
	}
	fixed := w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{mended()}})
	if n, err := fixed.Retry(t.Context(), "things", uuid.Nil); err != nil || n != 10 {
		t.Errorf("%d, %v, want 10", n, err)
	}
	w.until(r, "going on", func(s aggregator.Status) bool { return s.Position == last && s.Status != "halted" })
}

// P18: an error may quote a payload, so it is in the list and not in the log.
func TestErrorsOfEventsAreNotLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var out strings.Builder
	e := named(t, uuid.New(), added{})
	e.Payload = json.RawMessage(`{"n":"canary"}`)
	w.append(e.AggregateID, made{})
	if _, err := w.Log.Append(t.Context(), []eventsourcing.Event{e}); err != nil {
		t.Fatal(err)
	}
	chatty := aggregator.Define[thing, event]("things", "thing", func(t *thing, e event, from eventsourcing.Recorded) (*thing, error) {
		if from.Version == 2 {
			return nil, fmt.Errorf("cannot do with %s", from.Payload)
		}
		return evolve(t, e, from)
	})
	known := types()
	known[1] = eventsourcing.Type[broken]("thing.added", eventsourcing.Changes)
	r := w.Runner(aggregatortest.Replica{Known: known, Views: []aggregator.View{chatty}, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	parked, err := r.Parked(t.Context(), "things", 0, 10)
	if err != nil || len(parked) != 1 || !strings.Contains(parked[0].Error, "canary") || string(parked[0].Event.Payload) != `{"n":"canary"}` {
		t.Errorf("parked %+v, %v", parked, err)
	}
	if !strings.Contains(out.String(), "parked") || strings.Contains(out.String(), "canary") {
		t.Errorf("logged %s", out.String())
	}
}
