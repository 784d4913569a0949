package aggregator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/postgres"
)

// lastBatches are how this process's last batch of each view left it.
type lastBatches struct {
	mu    sync.Mutex
	views map[string]lastBatch
}

type lastBatch struct {
	position  int64     // of the view
	free      bool      // nothing is parked, it is not halted, and its revision is this program's
	disturbed time.Time // when somebody else was last seen to have it, or to have moved it
}

// aloneFor is how long nobody else has to have been seen at a view before it is resumed.
//
// Why: where another replica has just moved it, PostgreSQL refuses the whole message and
// notes that as an error. Replicas that take turns would fill its log.
const aloneFor = time.Minute

// note takes what came of a batch. One that failed, or was run again, carefully, may have
// met another replica, and counts as if it had: nor would what is wrong be tried at every
// other batch.
func (l *lastBatches) note(b batch, r result, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, known := l.views[b.name()]
	after := lastBatch{position: before.position, disturbed: before.disturbed}
	if b.careful || err != nil || r.standing == absent || known && r.from != before.position {
		after.disturbed = now()
	}
	if err == nil {
		after.position = r.position
		after.free = r.standing == ready && r.revision == b.view.Revision && r.unknown == nil && !r.waiting && r.halted == ""
	}
	l.views[b.name()] = after
}

// resumable gives the position where the view was left, if nothing kept it from going on
// and nobody else was seen at it for so long.
func (l *lastBatches) resumable(view string, alone time.Duration) (position int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.views[view]
	return last.position, last.free && now().Sub(last.disturbed) >= alone
}

// step is how the view's next batch is run: with the events that this process remembers,
// where it left the view and as far as is known nobody has moved it since; else with
// those that it reads.
func (r *Runner) step(v View) func(batch, context.Context) (result, error) {
	position, ok := r.last.resumable(v.Name, r.alone)
	if !ok || r.progress.position(v.Name) != position {
		return batch.run
	}
	next, ok := r.recent.after(position, r.window, v.Aggregate)
	if !ok {
		return batch.run
	}
	return func(b batch, ctx context.Context) (result, error) { return b.resume(ctx, position, next) }
}

// resume is like run, but applies what this process remembers after the position, without
// claiming the view or reading. It presumes that the view still stands there and may go
// on; where that is wrong PostgreSQL refuses the batch, and a careful one, which reads,
// follows.
//
// Why: a batch of new aggregates is one message to PostgreSQL and not two. In turns with a
// build that always read, who waited for a row at 2,000 events/s waited 1.3 to 1.8 ms and
// not 2.1 to 2.3.
func (b batch) resume(ctx context.Context, position int64, next stretch) (result, error) {
	if b.careful {
		return b.run(ctx)
	}
	r := newResult()
	r.resumed, r.revision, r.from, r.position, r.head = true, b.view.Revision, position, position, position+int64(len(next.ids))
	_, err := b.tx.NewRaw("SELECT view_resume(?, ?, ?, ?::uuid[])", b.name(), b.view.Revision, position, pgdialect.Array(next.ids)).
		Exec(postgres.Later(ctx))
	if err != nil {
		return r, fmt.Errorf("resume view %s: %w", b.name(), err)
	}
	return r, b.take(ctx, &r, next.events)
}
