package httpapi

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
)

// rival is a past that somebody else changes all the time, and the log of it:
// the first appends are too late.
type rival struct {
	version  int
	late     int
	expected []int
}

func (r *rival) Version(context.Context, uuid.UUID) (int, error) {
	r.version++
	return r.version, nil
}

func (r *rival) AtVersion(context.Context, uuid.UUID, int) (*document, int64, error) {
	return &document{}, 0, nil
}

func (r *rival) append(_ context.Context, events []eventsourcing.Event) ([]eventsourcing.Receipt, error) {
	r.expected = append(r.expected, *events[0].ExpectedVersion)
	if len(r.expected) <= r.late {
		current := r.version + 1
		return nil, &fault.Error{Kind: fault.Conflict, Code: "version-conflict", CurrentVersion: &current, Event: new(int)}
	}
	return []eventsourcing.Receipt{{ID: events[0].ID}}, nil
}

func TestARevertTriesThreeTimesUnlessToldTheVersion(t *testing.T) {
	t.Parallel()
	seven := 7
	for what, c := range map[string]struct {
		late  int
		match Match
		tries int
		fails bool
		kind  fault.Kind
	}{
		"at once":              {0, Match{}, 1, false, 0},
		"twice too late":       {2, Match{}, 3, false, 0},
		"always too late":      {9, Match{}, 3, true, fault.Conflict},
		"told the version":     {0, Match{Version: &seven}, 1, false, 0},
		"told another version": {9, Match{Version: &seven}, 1, true, fault.Precondition},
	} {
		r := &rival{version: 1, late: c.late}
		reverting := Reverting[document]{
			Past: r, Append: r.append, Event: func(*document, int) (string, any) { return "document.reverted", struct{}{} },
		}
		in := &RevertRequest{}
		in.Body.ID, in.Body.ToVersion, in.match = uuid.NewString(), 1, c.match
		out, err := reverting.Do(t.Context(), ID{uuid.New()}, in)
		if (err != nil) != c.fails || len(r.expected) != c.tries {
			t.Errorf("%s: %d tries, %v", what, len(r.expected), err)
			continue
		}
		if f, _ := fault.Of(err); c.fails && f.Kind != c.kind {
			t.Errorf("%s: %v", what, err)
		}
		if !c.fails && out.Status != http.StatusCreated {
			t.Errorf("%s: status %d", what, out.Status)
		}
		for i, expected := range r.expected {
			if want := i + 2; c.match.Version == nil && expected != want || c.match.Version != nil && expected != seven {
				t.Errorf("%s: try %d expected version %d", what, i+1, expected)
			}
		}
	}
}
