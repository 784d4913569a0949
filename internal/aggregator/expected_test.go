package aggregator

import (
	"testing"

	"github.com/google/uuid"
)

func TestARowIsHandedToWhoWaitsForItsVersion(t *testing.T) {
	t.Parallel()
	e := newExpected()
	mine, other := aggregateIn{"things", uuid.New()}, aggregateIn{"things", uuid.New()}
	first, again, third := e.expect(mine, 1), e.expect(mine, 2), e.expect(mine, 3)
	stranger, elsewhere := e.expect(other, 1), e.expect(aggregateIn{"words", mine.id}, 1)
	e.settle("things", e.count(), e.count(), moves{ids: []uuid.UUID{uuid.New(), mine.id}, to: []int{9, 2}, rows: []any{"another", "mine"}})
	for _, x := range []*expectation{first, again} {
		if !isClosed(x.met) || x.row != "mine" {
			t.Errorf("who waits for version %d has %v of version 2", x.version, x.row)
		}
	}
	for what, x := range map[string]*expectation{"a later version": third, "another aggregate": stranger, "another view": elsewhere} {
		if isClosed(x.met) || x.row != nil || isClosed(x.missed) != (x.of.view == "things") {
			t.Errorf("who waits for %s has %v", what, x.row)
		}
	}
	e.settle("things", e.count(), e.count(), moves{ids: []uuid.UUID{mine.id}, to: []int{3}, rows: []any{nil}})
	if !isClosed(third.met) || third.row != nil || first.row != "mine" {
		t.Errorf("after the end of the aggregate: %v, %v, and who had a row has %v", isClosed(third.met), third.row, first.row)
	}
	for _, x := range []*expectation{first, again, third, stranger, elsewhere} {
		e.forget(x)
	}
	if len(e.of)+len(e.fresh) > 0 {
		t.Errorf("what is over is remembered: %v %v", e.of, e.fresh)
	}
}

// Who comes after a commit was sent may have seen what another replica applied after
// it: that the aggregate has come to its end, for example.
func TestWhoCameAfterACommitReadsTheRow(t *testing.T) {
	t.Parallel()
	e := newExpected()
	it := aggregateIn{"things", uuid.New()}
	early := e.expect(it, 1)
	began := e.count()
	during, another := e.expect(it, 1), e.expect(aggregateIn{"things", uuid.New()}, 1)
	commits := e.count()
	late := e.expect(it, 1)
	e.settle("things", began, commits, moves{ids: []uuid.UUID{it.id}, to: []int{1}, rows: []any{"row"}})
	if early.row != "row" || during.row != "row" || !isClosed(late.met) || late.row != nil {
		t.Errorf("early has %v, during %v, late %v", early.row, during.row, late.row)
	}
	if isClosed(another.missed) {
		t.Error("who came during the batch counts as missed")
	}
}
