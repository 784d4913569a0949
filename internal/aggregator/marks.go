package aggregator

import (
	"sync"

	"github.com/google/uuid"
)

const (
	// markEvery is how many versions lie between two marks. Why so few: it is
	// what a look at some version costs, less than 1 ms for short payloads and
	// 30 ms for the largest that are allowed.
	markEvery = 25
	// mostMarks bounds the memory: so many rows, of 51,200 versions.
	mostMarks = 2048
)

// marks remember what some aggregates were at some of their versions, so that a
// look into a long history folds 25 events and not all of them.
//
// They need no upkeep: events below a version never change, and what they fold
// to is fixed as long as the program runs. That the log is still the same one,
// and was not exchanged for a backup, is seen by the event of the mark; see
// [Past.unfold]. Those that were not used for the longest time give way.
type marks[Row any] struct {
	mu   sync.Mutex
	uses uint64
	all  []mark[Row]
}

// mark is an aggregate at a version.
type mark[Row any] struct {
	unfolding[Row]

	aggregateID uuid.UUID
	used        uint64 // the larger, the later
}

// own gives the mark a row that nobody else has. Why: readers may change the
// fields of a row that they were given.
func (u unfolding[Row]) own() unfolding[Row] {
	if u.row != nil {
		row := *u.row
		u.row = &row
	}
	return u
}

// before gives the newest mark of an aggregate that is within the bounds, of
// which 0 is none; without one, the beginning.
func (m *marks[Row]) before(id uuid.UUID, version int, position int64) unfolding[Row] {
	m.mu.Lock()
	defer m.mu.Unlock()
	newest := &mark[Row]{}
	for i := range m.all {
		x := &m.all[i]
		if x.aggregateID == id && x.version > newest.version && (version == 0 || x.version <= version) && (position == 0 || x.position <= position) {
			newest = x
		}
	}
	m.uses++
	newest.used = m.uses
	return newest.own()
}

// add remembers an aggregate, in the place of the mark that was not used for the
// longest time when there are enough.
func (m *marks[Row]) add(id uuid.UUID, u unfolding[Row]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uses++
	oldest := -1
	for i := range m.all {
		x := &m.all[i]
		if x.aggregateID == id && x.version == u.version {
			x.used = m.uses
			return
		}
		if oldest < 0 || x.used < m.all[oldest].used {
			oldest = i
		}
	}
	next := mark[Row]{unfolding: u.own(), aggregateID: id, used: m.uses}
	if len(m.all) < mostMarks {
		m.all = append(m.all, next)
		return
	}
	m.all[oldest] = next
}

// forget drops what is remembered of an aggregate.
func (m *marks[Row]) forget(id uuid.UUID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.all[:0]
	for _, x := range m.all {
		if x.aggregateID != id {
			kept = append(kept, x)
		}
	}
	clear(m.all[len(kept):])
	m.all = kept
}
