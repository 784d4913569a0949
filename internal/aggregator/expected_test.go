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
	e.hand("things", moves{ids: []uuid.UUID{uuid.New(), mine.id}, to: []int{9, 2}, rows: []any{"another", "mine"}})
	for _, x := range []*expectation{first, again} {
		if !x.isMet() || x.row != "mine" {
			t.Errorf("who waits for version %d has %v of version 2", x.version, x.row)
		}
	}
	for what, x := range map[string]*expectation{"a later version": third, "another aggregate": stranger, "another view": elsewhere} {
		if x.isMet() || x.row != nil {
			t.Errorf("who waits for %s has %v", what, x.row)
		}
	}
	e.hand("things", moves{ids: []uuid.UUID{mine.id}, to: []int{3}, rows: []any{nil}})
	if !third.isMet() || third.row != nil || first.row != "mine" {
		t.Errorf("after the end of the aggregate: %v, %v, and who had a row has %v", third.isMet(), third.row, first.row)
	}
	for _, x := range []*expectation{first, again, third, stranger, elsewhere} {
		e.forget(x)
	}
	if len(e.of) > 0 {
		t.Errorf("what is over is remembered: %v", e.of)
	}
}
