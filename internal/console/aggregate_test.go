package console

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
)

// slow is an aggregate of which 25 versions take 15 ms to fold.
type slow struct {
	now     time.Time
	reached int
	asked   int // for the change itself
}

func (s *slow) timeline() aggregator.Timeline {
	return aggregator.Timeline{
		Reach: func(_ context.Context, _ uuid.UUID, version int) (int, error) {
			s.now = s.now.Add(15 * time.Millisecond)
			s.reached = min(s.reached+25, version)
			return s.reached, nil
		},
		Steps: func(_ context.Context, _ uuid.UUID, before, _ int) ([]aggregator.Step, error) {
			s.asked++
			made := eventsourcing.Recorded{Name: "user.updated", Version: before - 1}
			return []aggregator.Step{{Event: made, After: json.RawMessage(`{"name":"Ada"}`)}}, nil
		},
	}
}

// A page folds for as long as it may, says how far it came, and the next request
// goes on from there.
func TestALongHistoryIsFoldedByOneRequestAfterTheOther(t *testing.T) {
	t.Parallel()
	var s slow
	c := &console{Options: Options{
		Clock:   func() time.Time { return s.now },
		Domains: []Domain{{Name: "users", Events: []eventsourcing.EventType{eventsourcing.Type[struct{}]("user.created", eventsourcing.Creates)}, Timeline: s.timeline()}},
	}}
	pages, err := parsePages(templateFiles, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := eventsourcing.Recorded{AggregateID: uuid.New(), Aggregate: "user", Name: "user.deleted", Version: 1000}
	const again = `hx-trigger="load`
	for requests := 1; ; requests++ {
		began := s.now
		got, err := c.state(t.Context(), last, 200)
		if err != nil || s.now.Sub(began) > workPerPage+15*time.Millisecond {
			t.Fatalf("%s (%v)", s.now.Sub(began), err)
		}
		var page strings.Builder
		if err := pages["state"].ExecuteTemplate(&page, "part", struct{ Body state }{got}); err != nil {
			t.Fatal(err)
		}
		if got.Reached == 200 {
			if requests != 3 || s.asked != 1 || strings.Contains(page.String(), again) || !strings.Contains(page.String(), "Ada") || got.Event.Version != 200 {
				t.Errorf("after %d requests, asked %d times: %s", requests, s.asked, page.String())
			}
			return
		}
		if s.asked != 0 || got.Reached != 75*requests || !strings.Contains(page.String(), again) || strings.Contains(page.String(), "deleted") {
			t.Fatalf("request %d, asked %d times: %s", requests, s.asked, page.String())
		}
	}
}
