package aggregator

import (
	"testing"

	"github.com/google/uuid"
)

// TestWhatIsRememberedIsBounded also shows what gives way: what nobody asked for.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	t.Parallel()
	var m marks[int]
	asked, never, other := uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}
	row := 7
	m.add(asked, unfolding[int]{row: &row, version: 25, position: 25})
	m.add(never, unfolding[int]{row: &row, version: 25, position: 25})
	row = 8
	for i := range 2*mostMarks + 1 {
		m.add(other, unfolding[int]{version: 25 * (i + 1), position: int64(i)})
		if u := m.before(asked, 99, 0); u.version != 25 || *u.row != 7 {
			t.Fatalf("after %d: version %d", i, u.version)
		}
	}
	if len(m.all) != mostMarks {
		t.Errorf("%d are remembered", len(m.all))
	}
	if u := m.before(never, 0, 0); u.version != 0 {
		t.Errorf("what nobody asked for is still there, at version %d", u.version)
	}
	m.forget(other)
	if len(m.all) != 1 {
		t.Errorf("%d are left", len(m.all))
	}
}
