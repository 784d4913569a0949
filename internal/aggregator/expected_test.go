package aggregator

import (
	"testing"

	"github.com/google/uuid"
)

func TestARowIsHandedToWhoWaitsForItsVersion(t *testing.T) {
	t.Parallel()
	e := newExpected()
	mine, other := uuid.New(), uuid.New()
	first, again, third := e.expect("things", mine, 1), e.expect("things", mine, 2), e.expect("things", mine, 3)
	stranger, elsewhere := e.expect("things", other, 1), e.expect("words", mine, 1)
	e.settle("things", e.count(), result{
		came: e.count(), moves: moves{ids: []uuid.UUID{uuid.New(), mine}, to: []int{9, 2}, rows: []any{"another", "mine"}},
	})
	for _, x := range []*expectation{first, again} {
		if !isClosed(x.met) || x.row != "mine" {
			t.Errorf("who waits for version %d has %v of version 2", x.version, x.row)
		}
	}
	for what, x := range map[string]*expectation{"a later version": third, "another aggregate": stranger, "another view": elsewhere} {
		if isClosed(x.met) || x.row != nil || isClosed(x.missed) != (x.view == "things") {
			t.Errorf("who waits for %s has %v", what, x.row)
		}
	}
	e.settle("things", e.count(), result{came: e.count(), moves: moves{ids: []uuid.UUID{mine}, to: []int{3}, rows: []any{nil}}})
	if !isClosed(third.met) || third.row != nil || first.row != "mine" {
		t.Errorf("after the end of the aggregate: %v, %v, and who had a row has %v", isClosed(third.met), third.row, first.row)
	}
	for _, x := range []*expectation{first, again, third, stranger, elsewhere} {
		e.forget(x)
	}
	if len(e.waiting["things"])+len(e.waiting["words"]) > 0 {
		t.Errorf("what is over is remembered: %v", e.waiting)
	}
}

// Who comes after a commit was sent may have seen what another replica applied after
// it: that the aggregate has come to its end, for example.
func TestWhoCameAfterACommitReadsTheRow(t *testing.T) {
	t.Parallel()
	e := newExpected()
	id := uuid.New()
	early := e.expect("things", id, 1)
	began := e.count()
	during, another := e.expect("things", id, 1), e.expect("things", uuid.New(), 1)
	commits := e.count()
	late := e.expect("things", id, 1)
	e.settle("things", began, result{came: commits, moves: moves{ids: []uuid.UUID{id}, to: []int{1}, rows: []any{"row"}}})
	if early.row != "row" || during.row != "row" || !isClosed(late.met) || late.row != nil {
		t.Errorf("early has %v, during %v, late %v", early.row, during.row, late.row)
	}
	if isClosed(another.missed) {
		t.Error("who came during the batch counts as missed")
	}
}

// What another replica has may come from there at any time, so nobody waits for a
// batch of this one.
func TestWhoWaitsForAViewThatAnotherReplicaHasAsks(t *testing.T) {
	t.Parallel()
	e := newExpected()
	before := e.expect("things", uuid.New(), 1)
	e.settle("things", 0, result{standing: absent})
	after, other := e.expect("things", uuid.New(), 1), e.expect("words", uuid.New(), 1)
	e.settle("things", e.count(), result{standing: ready})
	if !isClosed(before.missed) || !isClosed(after.missed) || isClosed(other.missed) || isClosed(e.expect("things", uuid.New(), 1).missed) {
		t.Error("who has to ask does not know, or who has not to does")
	}
}
