package aggregator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// account is a row, and deposit, closing and nonsense are its events.
type account struct {
	Sum     int
	Version int
}

type (
	deposit  int
	closing  struct{}
	nonsense struct{}
)

func sum(a *account, e any, from eventsourcing.Recorded) (*account, error) {
	next := account{Version: from.Version}
	if a != nil {
		next.Sum = a.Sum
	}
	switch e := e.(type) {
	case deposit:
		next.Sum += int(e)
	case closing:
		return nil, nil //nolint:nilnil // closed
	case nonsense:
		panic("nonsense")
	}
	return &next, nil
}

var errBroken = errors.New("cannot be decoded")

// memory is a log of payloads; an error among them is one that cannot be
// decoded, and a nil one that is not known. At most width aggregates are looked
// at in one question.
type memory struct {
	events   []eventsourcing.Recorded
	payloads []any
	width    int
	read     int // events handed out
}

func (m *memory) add(id uuid.UUID, payloads ...any) {
	for _, p := range payloads {
		version := 1
		for _, e := range m.events {
			if e.AggregateID == id {
				version++
			}
		}
		m.events = append(m.events, eventsourcing.Recorded{
			ID: uuid.New(), AggregateID: id, Version: version, Position: int64(len(m.events) + 1),
		})
		m.payloads = append(m.payloads, p)
	}
}

func (m *memory) PositionAt(context.Context, time.Time) (position int64, reached bool, err error) {
	return int64(len(m.events)), true, nil
}

func (m *memory) Version(_ context.Context, _ string, id uuid.UUID) (int, error) {
	version := 0
	for _, e := range m.events {
		if e.AggregateID == id {
			version = e.Version
		}
	}
	return version, nil
}

func (m *memory) Existing(_ context.Context, q aggregator.Existing) (ids []uuid.UUID, next uuid.UUID, err error) {
	var created []eventsourcing.Recorded
	for _, e := range m.events {
		if e.Version == 1 && bytes.Compare(e.AggregateID[:], q.After[:]) > 0 {
			created = append(created, e)
		}
	}
	slices.SortFunc(created, func(x, y eventsourcing.Recorded) int { return bytes.Compare(x.AggregateID[:], y.AggregateID[:]) })
	for i, e := range created {
		if e.Position <= q.Position {
			ids = append(ids, e.AggregateID)
		}
		if i+1 == m.width || len(ids) == q.Limit {
			return ids, e.AggregateID, nil
		}
	}
	return ids, uuid.Nil, nil
}

func (m *memory) Each(_ context.Context, r aggregator.PastRange, f func(eventsourcing.Recorded, any, error) error) error {
	for _, id := range r.AggregateIDs {
		for i, e := range m.events {
			if e.AggregateID != id || e.Version < r.From || r.Position > 0 && e.Position > r.Position || r.Version > 0 && e.Version > r.Version {
				continue
			}
			m.read++
			broken, _ := m.payloads[i].(error)
			if m.payloads[i] == nil {
				return fault.Wrap(eventsourcing.ErrUnknown, fault.Unavailable, "unavailable", "A newer program.")
			}
			if err := f(e, m.payloads[i], broken); err != nil {
				return err
			}
		}
	}
	return nil
}

func pastOf(m *memory) aggregator.Past[account] { return aggregator.PastOf("account", sum, m) }

// kindOf is an error in one word.
func kindOf(err error) string {
	if f, ok := fault.Of(err); ok {
		return f.Code
	}
	return fmt.Sprint(err)
}

// TestAnEventThatCannotBeAppliedEndsItsRow shows that poison has the
// consequence it has in a view: the row stays, and nobody else is touched.
func TestAnEventThatCannotBeAppliedEndsItsRow(t *testing.T) {
	t.Parallel()
	for what, poison := range map[string]any{"panics": nonsense{}, "is broken": errBroken} {
		log := &memory{width: 100}
		id, other := uuid.UUID{1}, uuid.UUID{2}
		log.add(id, deposit(1), deposit(2), poison, deposit(4))
		log.add(other, deposit(10))
		past := pastOf(log)
		if row, _, err := past.AtVersion(t.Context(), id, 2); err != nil || *row != (account{3, 2}) {
			t.Errorf("%s: before it: %v (%v)", what, row, err)
		}
		for _, version := range []int{3, 4} {
			if _, _, err := past.AtVersion(t.Context(), id, version); kindOf(err) != "unavailable" {
				t.Errorf("%s: version %d: %v", what, version, err)
			}
		}
		if _, _, err := past.AtPosition(t.Context(), id, 4); kindOf(err) != "unavailable" {
			t.Errorf("%s: after it: %v", what, err)
		}
		rows, _, err := past.List(t.Context(), 5, uuid.Nil, 10)
		if diff := cmp.Diff([]*account{{3, 2}, {10, 1}}, rows); err != nil || diff != "" {
			t.Errorf("%s: the list: %s (%v)", what, diff, err)
		}
		history, err := past.History(t.Context(), id, 0, 10)
		if err != nil || len(history) != 4 {
			t.Fatalf("%s: %d changes (%v)", what, len(history), err)
		}
		for i, c := range history {
			if failed := i < 2; (c.Err != nil) != failed || failed && c.After.Sum != 3 {
				t.Errorf("%s: version %d: %v, %v", what, c.Event.Version, c.After, c.Err)
			}
		}
	}
}

func TestAnUnknownEventMakesThePastUnavailable(t *testing.T) {
	t.Parallel()
	log := &memory{width: 100}
	id := uuid.UUID{1}
	log.add(id, deposit(1), nil)
	past := pastOf(log)
	if row, _, err := past.AtVersion(t.Context(), id, 1); err != nil || row.Sum != 1 {
		t.Errorf("before it: %v (%v)", row, err)
	}
	_, _, one := past.AtVersion(t.Context(), id, 2)
	_, _, list := past.List(t.Context(), 2, uuid.Nil, 10)
	_, history := past.History(t.Context(), id, 0, 10)
	for what, err := range map[string]error{"one": one, "list": list, "history": history} {
		if kindOf(err) != "unavailable" || !errors.Is(err, eventsourcing.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAListIsBoundedAndComplete walks through lists in which most have ended or
// did not exist yet: a page may be short, but none is endless and none is lost.
func TestAListIsBoundedAndComplete(t *testing.T) {
	t.Parallel()
	log := &memory{}
	var want []int
	for i := range 200 {
		id := uuid.UUID{byte(i), 1}
		log.add(id, deposit(i))
		if i%7 != 0 {
			log.add(id, closing{})
			continue
		}
		want = append(want, i)
	}
	position := int64(len(log.events))
	for i := range 200 {
		log.add(uuid.UUID{byte(i), 2}, deposit(-1))
	}
	for _, width := range []int{1, 3, 50, 1000} {
		for _, limit := range []int{1, 10, len(want) - 1, len(want), 500} {
			log.width = width
			var got []int
			var next uuid.UUID
			for page := 0; page == 0 || next != uuid.Nil; page++ {
				var rows []*account
				var err error
				rows, next, err = pastOf(log).List(t.Context(), position, next, limit)
				if err != nil || len(rows) > limit {
					t.Fatalf("%d rows (%v)", len(rows), err)
				}
				for _, row := range rows {
					got = append(got, row.Sum)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("by %d, %d at a time: %v, want %v", limit, width, got, want)
			}
		}
	}
	log.width = 1000
	if rows, next, err := pastOf(log).List(t.Context(), position, uuid.Nil, len(want)); err != nil || len(rows) != len(want) || next != uuid.Nil {
		t.Errorf("the last page says that there is more: %d rows, %s (%v)", len(rows), next, err)
	}
}

func TestAHistoryRemembersOnlyItsPage(t *testing.T) {
	t.Parallel()
	log := &memory{}
	id := uuid.UUID{1}
	for i := range 30 {
		log.add(id, deposit(i+1))
	}
	for _, limit := range []int{1, 4, 29, 30, 31} {
		for before := range 33 {
			changes, err := pastOf(log).History(t.Context(), id, before, limit)
			if err != nil {
				t.Fatal(err)
			}
			version := 30
			if before > 0 {
				version = min(before-1, 30)
			}
			if len(changes) != min(limit, version) {
				t.Fatalf("%d before %d: %d changes", limit, before, len(changes))
			}
			for _, c := range changes {
				if c.Event.Version != version || c.After.Sum != version*(version+1)/2 || version > 1 && c.Before.Sum != c.After.Sum-version {
					t.Fatalf("%d before %d: version %d from %v to %v", limit, before, c.Event.Version, c.Before, c.After)
				}
				version--
			}
		}
	}
	if _, err := pastOf(log).History(t.Context(), uuid.UUID{2}, 0, 10); kindOf(err) != "not-found" {
		t.Errorf("nobody: %v", err)
	}
}

func TestARowIsGivenAtManyPositionsFromOneReading(t *testing.T) {
	t.Parallel()
	m, id, other := &memory{width: 10}, uuid.New(), uuid.New()
	m.add(other, deposit(100))
	m.add(id, deposit(1))
	m.add(other, deposit(100), deposit(100))
	m.add(id, deposit(2), closing{})
	p := pastOf(m)
	rows, err := p.RowAt(t.Context(), id, 6, 5, 5, 4, 3, 2, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	first, second := &account{Sum: 1, Version: 1}, &account{Sum: 3, Version: 2}
	if diff := cmp.Diff([]*account{nil, second, second, first, first, first, nil, nil}, rows); diff != "" {
		t.Error(diff)
	}
	for _, positions := range [][]int64{nil, {0}, {1}} {
		if rows, err := p.RowAt(t.Context(), id, positions...); err != nil || len(rows) != len(positions) || len(rows) > 0 && rows[0] != nil {
			t.Errorf("at %v: %v, %v", positions, rows, err)
		}
	}
}
