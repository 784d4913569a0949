package aggregator_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
)

// atCommit calls f before each COMMIT.
type atCommit struct{ f func() }

func (h atCommit) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	if strings.HasPrefix(e.Query, "COMMIT") {
		h.f()
	}
	return ctx
}

func (atCommit) AfterQuery(context.Context, *bun.QueryEvent) {}

// Who comes after the commit was sent may know what another replica applied after it.
func TestWhoComesWhileABatchCommitsReadsTheRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := uuid.New()
	w.receipts(id, made{}, added{1})
	var r *aggregator.Runner
	wait := func(shows func(context.Context) (bool, error)) any {
		row, shown, err := r.WaitVersion(t.Context(), "things", id, 2, shows)
		if !shown || err != nil {
			t.Errorf("shown %t, %v", shown, err)
		}
		return row
	}
	late := make(chan any, 1)
	var once sync.Once
	commits := atCommit{func() {
		once.Do(func() {
			came := make(chan struct{})
			go func() {
				late <- wait(func(context.Context) (bool, error) {
					close(came)
					return false, nil
				})
			}()
			<-came
		})
	}}
	r = w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{things()}, DB: w.Open("committing", 2).WithQueryHook(commits)})
	early := wait(func(ctx context.Context) (bool, error) { return false, r.CatchUp(ctx) })
	if got, ok := early.(*thing); !ok || got.Sum != 1 || got.Version != 2 {
		t.Errorf("who came before it began was handed %v", early)
	}
	if got := <-late; got != nil {
		t.Errorf("who came later was handed %v", got)
	}
}

// The row that the table refuses is never handed over, and the one before is.
func TestTheLastRowThatTheTableTookIsHandedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Exec("ALTER TABLE things ADD CHECK (sum < 100)")
	id := uuid.New()
	w.receipts(id, made{}, added{1}, added{200}, added{1})
	r := w.replica(types())
	row, shown, err := r.WaitVersion(t.Context(), "things", id, 2, func(ctx context.Context) (bool, error) { return false, r.CatchUp(ctx) })
	if got, ok := row.(*thing); err != nil || !shown || !ok || got.Sum != 1 || got.Version != 2 {
		t.Errorf("%v, %t, %v", row, shown, err)
	}
}
