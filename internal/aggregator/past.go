package aggregator

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// PastLog is how the past is read from the log.
type PastLog interface {
	// PositionAt gives the last position recorded at the moment or before it,
	// and false for a moment that has not come yet.
	PositionAt(ctx context.Context, moment time.Time) (position int64, reached bool, err error)
	// Existing gives, in their order, at most limit ids after one of the
	// aggregates of a kind that had been created at the position. There may be
	// more behind next; it is the nil UUID at the end.
	Existing(ctx context.Context, q Existing) (ids []uuid.UUID, next uuid.UUID, err error)
	// Version is the number of the aggregate's events, 0 without any.
	Version(ctx context.Context, aggregate string, id uuid.UUID) (int, error)
	// Each hands the events of the range to f as they come, decoded, or with
	// the reason why they cannot be. It ends with the first error of f, and
	// with one of its own before an event that this program does not know.
	Each(ctx context.Context, r PastRange, f func(e eventsourcing.Recorded, payload any, broken error) error) error
}

// Existing selects aggregates of a kind by when they were created.
type Existing struct {
	Aggregate string
	Position  int64 // created at this position or before it
	After     uuid.UUID
	Limit     int
}

// PastRange selects events: those of the aggregates, one aggregate after the
// other and each in the order of its versions, from a version on, and up to and
// including a position or a version. A bound of 0 is none.
type PastRange struct {
	Aggregate    string
	AggregateIDs []uuid.UUID
	From         int
	Position     int64
	Version      int
}

// Past answers what a view's rows were, from the events alone: no view's table
// is read, so it is as right while a view is behind, rebuilding or halted. Make
// one with [PastOf].
//
// An event that cannot be applied has the consequence it has in the view: the
// row stays what it was before. A list shows it so; a single row that is asked
// for beyond that event is refused as unavailable. So is everything that meets
// an event which only a newer program knows.
//
// What is asked costs reading the aggregates' events up to then; memory holds
// the rows of the answer and one event. The next question about the same one
// aggregate costs 25 events, for some of its rows are remembered, at most
// 2,048 of all aggregates together.
type Past[Row any] struct {
	aggregate string
	log       PastLog
	marks     *marks[Row]
	apply     func(row *Row, e eventsourcing.Recorded, payload any, broken error) (*Row, error)
}

// PastOf makes the past of the view that [Define] makes of the same aggregate
// and evolve.
func PastOf[Row, E any](aggregate string, evolve eventsourcing.Evolve[Row, E], log PastLog) Past[Row] {
	return Past[Row]{
		aggregate: aggregate, log: log, marks: new(marks[Row]),
		apply: func(row *Row, e eventsourcing.Recorded, payload any, broken error) (*Row, error) {
			return step(row, e, payload, broken, evolve)
		},
	}
}

// unfolding is the fold of one aggregate on its way through its events.
type unfolding[Row any] struct {
	row      *Row
	version  int         // of the last event, applied or not
	position int64       // of the same
	event    uuid.UUID   // its id
	failed   *EventError // the first that could not be applied; the row stays what it was
}

func (p Past[Row]) step(u *unfolding[Row], e eventsourcing.Recorded, payload any, broken error) {
	u.version, u.position, u.event = e.Version, e.Position, e.ID
	if u.failed != nil {
		return
	}
	next, err := p.apply(u.row, e, payload, broken)
	if err != nil {
		u.failed = &EventError{Event: e, Err: err}
		return
	}
	u.row = next
}

// PositionAt gives the last position recorded at the moment or before it, 0
// before the first. It reports false for a moment that has not come yet.
func (p Past[Row]) PositionAt(ctx context.Context, moment time.Time) (position int64, reached bool, err error) {
	return p.log.PositionAt(ctx, moment)
}

// Version is the aggregate's version now. It is a fault of kind NotFound if
// there never was such an aggregate.
func (p Past[Row]) Version(ctx context.Context, id uuid.UUID) (int, error) {
	version, err := p.log.Version(ctx, p.aggregate, id)
	if err == nil && version == 0 {
		err = notFound("There is no %s %s.", p.aggregate, id)
	}
	return version, err
}

// AtVersion gives the row as the aggregate's event of that version left it, and
// the position of that event. It is a fault of kind NotFound if there is no such
// version, and Gone if that event was the aggregate's end.
func (p Past[Row]) AtVersion(ctx context.Context, id uuid.UUID, version int) (*Row, int64, error) {
	u, err := p.at(ctx, id, PastRange{Version: version})
	if err != nil {
		return nil, 0, err
	}
	if u.version != version {
		return nil, 0, notFound("There is no version %d of %s %s.", version, p.aggregate, id)
	}
	return u.row, u.position, p.gone(u, id)
}

// AtPosition gives the row, and its version, as it was when the log ended with
// the position. It is a fault of kind NotFound if the aggregate did not exist
// yet, and Gone if it had ended.
func (p Past[Row]) AtPosition(ctx context.Context, id uuid.UUID, position int64) (*Row, int, error) {
	var u unfolding[Row]
	if position > 0 {
		var err error
		u, err = p.at(ctx, id, PastRange{Position: position})
		if err != nil {
			return nil, 0, err
		}
	}
	if u.version == 0 {
		return nil, 0, notFound("There was no %s %s at that time.", p.aggregate, id)
	}
	return u.row, u.version, p.gone(u, id)
}

// at folds one aggregate up to a bound, beyond which the row has to be known.
func (p Past[Row]) at(ctx context.Context, id uuid.UUID, bound PastRange) (unfolding[Row], error) {
	u, err := p.unfold(ctx, id, p.marks.before(id, bound.Version, bound.Position), bound, nil)
	if err == nil && u.failed != nil {
		err = fault.Wrap(u.failed, fault.Unavailable, "unavailable",
			fmt.Sprintf("Event %s cannot be applied by this program, so what it made of the %s is not known.", u.failed.Event.ID, p.aggregate))
	}
	return u, err
}

// errOtherLog says that a mark is of another log than the one that is read.
var errOtherLog = errors.New("the log was exchanged")

// unfold folds one aggregate on from a mark, up to a bound, and leaves marks on
// its way. It hands over each step.
func (p Past[Row]) unfold(
	ctx context.Context, id uuid.UUID, from unfolding[Row], bound PastRange, f func(eventsourcing.Change[Row]),
) (unfolding[Row], error) {
	u, same := from, from.version == 0
	bound.Aggregate, bound.AggregateIDs, bound.From = p.aggregate, []uuid.UUID{id}, from.version
	err := p.log.Each(ctx, bound, func(e eventsourcing.Recorded, payload any, broken error) error {
		if !same { // the mark's own event, read once more
			if same = e.ID == from.event; !same {
				return errOtherLog
			}
			return nil
		}
		change := eventsourcing.Change[Row]{Event: e, Before: u.row}
		p.step(&u, e, payload, broken)
		if u.version%markEvery == 0 {
			p.marks.add(id, u)
		}
		if change.After = u.row; u.failed != nil {
			change.Err = u.failed
		}
		if f != nil {
			f(change)
		}
		return nil
	})
	if errors.Is(err, errOtherLog) || err == nil && !same {
		p.marks.forget(id)
		return p.unfold(ctx, id, unfolding[Row]{}, bound, f)
	}
	return u, err
}

// Reach folds an aggregate on towards a version, by at most 25 events, and
// gives the version it came to. Once it gives the version itself, what made it
// is near: [Past.History] of that one change folds no more than that again. So a
// long history can be looked into without one long question.
func (p Past[Row]) Reach(ctx context.Context, id uuid.UUID, version int) (int, error) {
	from := p.marks.before(id, max(1, version-1), 0) // 0 would be no bound
	next := from.version + markEvery
	if next >= version {
		return version, nil
	}
	u, err := p.unfold(ctx, id, from, PastRange{Version: next}, nil)
	if err == nil && u.version < next {
		err = notFound("There is no version %d of %s %s.", version, p.aggregate, id)
	}
	return next, err
}

func (p Past[Row]) gone(u unfolding[Row], id uuid.UUID) error {
	if u.row != nil {
		return nil
	}
	return fault.New(fault.Gone, "gone", fmt.Sprintf("The %s %s had been deleted at version %d. Its events are still in the log.", p.aggregate, id, u.version))
}

// rounds bounds the work for one page: where most of those that existed had
// ended, there is little to show for much work.
const rounds = 5

// List gives the rows as they were when the log ended with the position: at
// most limit of those with ids after one, in the order of ids. There are or may
// be more behind next, also where there are fewer rows than the limit; it is
// the nil UUID at the end.
func (p Past[Row]) List(ctx context.Context, position int64, after uuid.UUID, limit int) (rows []*Row, next uuid.UUID, err error) {
	var ids []uuid.UUID // of the rows
	next = after
	for round := range rounds {
		// More than are missing, and more in each round: some will have ended.
		q := Existing{Aggregate: p.aggregate, Position: position, After: next, Limit: (limit + 1 - len(rows)) << round}
		var candidates []uuid.UUID
		if candidates, next, err = p.log.Existing(ctx, q); err != nil {
			return nil, next, err
		}
		err = p.living(ctx, candidates, position, func(id uuid.UUID, row *Row) {
			if len(rows) <= limit {
				ids, rows = append(ids, id), append(rows, row)
			}
		})
		if err != nil {
			return nil, next, err
		}
		if len(rows) > limit { // the one too many only tells that there is more
			return rows[:limit], ids[limit-1], nil
		}
		if len(candidates) < q.Limit { // the log has no more, or was looked at for long enough
			break
		}
	}
	return rows, next, nil
}

// Rows gives the rows of the aggregates as they were when the log ended with the
// position, by their ids; those that did not exist yet, or had ended, are left out.
func (p Past[Row]) Rows(ctx context.Context, position int64, ids []uuid.UUID) (map[uuid.UUID]*Row, error) {
	rows := make(map[uuid.UUID]*Row, len(ids))
	if position == 0 { // would be no bound
		return rows, nil
	}
	err := p.living(ctx, ids, position, func(id uuid.UUID, row *Row) { rows[id] = row })
	return rows, err
}

// RowAt gives one aggregate's row as it was when the log ended with each of the
// positions, which are given newest first; nil where it did not exist yet or had
// ended. Its events are read once.
func (p Past[Row]) RowAt(ctx context.Context, id uuid.UUID, newestFirst ...int64) ([]*Row, error) {
	rows := make([]*Row, len(newestFirst))
	if len(rows) == 0 || newestFirst[0] == 0 { // would be no bound
		return rows, nil
	}
	next := len(rows) - 1
	fill := func(before int64, row *Row) {
		for ; next >= 0 && newestFirst[next] < before; next-- {
			rows[next] = row
		}
	}
	from := p.marks.before(id, 0, max(1, newestFirst[next])) // as above
	u, err := p.unfold(ctx, id, from, PastRange{Position: newestFirst[0]}, func(c eventsourcing.Change[Row]) {
		fill(c.Event.Position, c.Before)
	})
	fill(math.MaxInt64, u.row)
	return rows, err
}

// living folds the aggregates and hands over those that had not ended.
func (p Past[Row]) living(ctx context.Context, ids []uuid.UUID, position int64, f func(uuid.UUID, *Row)) error {
	if len(ids) == 0 {
		return nil
	}
	var id uuid.UUID
	var u unfolding[Row]
	finish := func() {
		if u.row != nil {
			f(id, u.row)
		}
	}
	r := PastRange{Aggregate: p.aggregate, AggregateIDs: ids, Position: position}
	err := p.log.Each(ctx, r, func(e eventsourcing.Recorded, payload any, broken error) error {
		if e.AggregateID != id {
			finish()
			id, u = e.AggregateID, unfolding[Row]{}
		}
		p.step(&u, e, payload, broken)
		return nil
	})
	finish()
	return err
}

// History gives the last changes of an aggregate with versions below before (0:
// all), newest first and at most limit. It is a fault of kind NotFound if there
// never was such an aggregate.
func (p Past[Row]) History(ctx context.Context, id uuid.UUID, before, limit int) ([]eventsourcing.Change[Row], error) {
	if before == 1 {
		return nil, nil
	}
	last, err := p.Version(ctx, id)
	if err != nil {
		return nil, err
	}
	if before > 0 {
		last = min(last, before-1)
	}
	var from unfolding[Row]
	after := max(0, last-limit)
	if after > 0 { // 0 would be no bound
		from = p.marks.before(id, after, 0)
	}
	changes := make([]eventsourcing.Change[Row], 0, last-after)
	_, err = p.unfold(ctx, id, from, PastRange{Version: last}, func(c eventsourcing.Change[Row]) {
		if c.Event.Version > after {
			changes = append(changes, c)
		}
	})
	if err != nil {
		return nil, err
	}
	slices.Reverse(changes)
	return changes, nil
}

func notFound(format string, args ...any) error {
	return fault.New(fault.NotFound, "not-found", fmt.Sprintf(format, args...))
}
