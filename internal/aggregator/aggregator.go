// Package aggregator turns the log into read views: each registered [View] is a
// table with one row per aggregate, and a row is the fold of its aggregate's
// events.
//
// # One batch
//
// A view's goroutine is woken (by the listener's hint, its timer, or a request of
// this process that waits for the view) and runs batches until it has caught up.
// A batch is one transaction:
//
//	claim    view_positions row, FOR NO KEY UPDATE SKIP LOCKED, and read the log
//	         after the position, at most 1,000 positions
//	fold     load those rows once, Evolve in memory, one insert or upsert, one delete
//	advance  view_locks, only from the version before; view_positions;
//	         pg_notify('views:updated')
//	commit
//
// It presumes that nothing it reads was applied before and that all of it can be.
// Where that is wrong, or something is parked, it looks before it folds.
//
// Why: one transaction per event applied 2,900 events/s, batches apply 68,000. What
// needs no answer travels with what comes next ([postgres.Later]), so a batch of new
// aggregates is two messages to PostgreSQL, and three where rows are to be loaded.
// With one for each statement, as there were once seven, who waits for a row at
// 2,000 events/s waited a third longer.
//
// Who waits for a version in the same process is handed the row when the batch has
// committed, and asks for it no more: see expected.
//
// # What is remembered
//
// A process remembers the last events that it appended, 2,000 or 2 MiB, and need not read
// them. Where it left a view just before such events, the next batch resumes the view and
// does not claim it:
//
//	resume   the view_positions row, as above, provided that it is still at that
//	         position, of our revision, not halted and with nothing parked, and that
//	         the log has these events there
//
// The rest is as above, so a batch of new aggregates is one message, COMMIT included.
// PostgreSQL decides under the row's lock: it refuses the whole message where one of these
// does not hold, and a batch that reads follows. Positions have no gaps, so a process sees
// where others appended, and reads there. Once it has seen another replica at a view it
// reads for a minute: see aloneFor. The laws hold for both kinds of batch, also mixed.
//
// # Guarantees
//
// A row, its lock and the position commit together, so each event is applied
// exactly once, whoever is killed whenever: the next batch starts from what is
// committed. Any number of replicas run the same views without a leader; the
// row lock lets one work at a time and goes with its connection. There are no
// leases and no session locks, so a pooler in between does no harm.
//
// # Poison events
//
// An event that a view cannot apply (Evolve fails or panics, the payload does
// not decode, an upcaster fails, the table refuses the row) is a poison event.
// Its aggregate is parked with the error, its later events wait behind it, and
// all others flow. It is tried again after 1, 2, 4 and 8 seconds and then when
// somebody asks.
//
// A view halts when an event fails and then more than 100 aggregates are parked,
// or in the running stretch of five minutes at least 10 were and they are more
// than 1 % of the events tried in it: that is a bug in code, and going on would
// only park more. It goes on when somebody asks for all to be tried again
// ([Runner.Retry]), or when a rebuild replaces it. A rebuild halts by the same
// rule, and then the live view is kept.
//
// An event this program does not know was recorded by a newer one: the batch
// ends before it and the row is released, so that a newer replica goes on.
// Anything else is a passing fault: the batch is rolled back and tried again
// with back-off.
//
// # Rebuild
//
// A rebuild folds the view anew beside the live one, which stays as it is:
//
//	begin   view_positions gets a row <view>_rebuild; an empty table of that name
//	fill    the batches above, without view_locks, up to the live view's position
//	index   the live table's indexes
//	compare view_locks with the log
//	swap    hold the live view; catch up; set locks right that are not; exchange
//	        the tables; one transaction
//
// Rows and position of the rebuild commit together and nobody else writes them,
// so it needs no locks to be exactly-once. Killed anywhere, whichever replica
// comes next goes on from what is committed. A reader sees the old rows or the
// new ones and waits at most for the swap, which gives up after 300 ms without
// the table and tries again a second later. What is not covered: a transaction
// that took its snapshot (REPEATABLE READ) before the swap and reads the view
// only after it.
package aggregator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"
	"golang.org/x/sync/errgroup"

	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
)

// Options are what a Runner needs.
type Options struct {
	// DB is a pool of its own with a connection for each view.
	DB *bun.DB
	// Rebuilder is a pool with one connection and no limit on how long a
	// statement takes: an index of a large view takes its time.
	Rebuilder *bun.DB
	// Reader is for questions, and for the little that operators change. Why
	// not DB: any number of requests may wait for a view, and none of them
	// shall wait in front of the view's own batch.
	Reader   *bun.DB
	Read     ReadLog
	Registry *eventsourcing.Registry
	Views    []View
	// Wake gives a channel that says "the log may have grown", at the latest
	// every second, and a function that gives it back.
	Wake    func() (wake <-chan struct{}, stop func())
	Metrics prometheus.Registerer
	Logger  *slog.Logger
	// Window is how many positions a live view's batch covers at most; zero
	// means 1,000.
	Window int
	// Alone is how long ago another replica must have been seen last at a view for it to
	// be resumed; zero means a minute.
	Alone time.Duration
}

// LogRange selects events to fold: positions in (After, UpTo] of one aggregate
// or, when AggregateID is the nil UUID, of all aggregates of a kind.
type LogRange struct {
	Aggregate   string
	AggregateID uuid.UUID
	After, UpTo int64
	// Limit is how many events at most; zero is no limit.
	Limit int
	// PayloadBudget lets the reader stop after the event with which the payloads
	// together reach this many bytes.
	PayloadBudget int
}

// ReadLog reads a range of the log in the order of positions.
type ReadLog func(ctx context.Context, tx bun.IDB, r LogRange) ([]eventsourcing.Recorded, error)

// Runner keeps views up to date. Run it once; its other methods work whether it
// runs or not.
type Runner struct {
	db        *bun.DB
	rebuilder *bun.DB
	reader    *bun.DB
	read      ReadLog
	registry  *eventsourcing.Registry
	views     []View
	wake      func() (<-chan struct{}, func())
	logger    *slog.Logger
	metrics   metrics
	progress  *progress
	expected  *expected
	recent    *recent
	last      lastBatches
	window    int64
	alone     time.Duration
}

// New makes a Runner. A name that is used twice, or is that of another view's
// rebuild, is an error.
func New(o Options) (*Runner, error) {
	seen := make(map[string]bool)
	for _, v := range o.Views {
		switch {
		case seen[v.Name]:
			return nil, fmt.Errorf("view %s is defined twice", v.Name)
		case strings.HasSuffix(v.Name, rebuildSuffix):
			return nil, fmt.Errorf("view %s: names that end in %s are for rebuilds", v.Name, rebuildSuffix)
		case v.Revision < 1:
			return nil, fmt.Errorf("view %s: revisions count from 1", v.Name)
		}
		seen[v.Name] = true
	}
	r := &Runner{
		db: o.DB, rebuilder: o.Rebuilder, reader: o.Reader, read: o.Read, registry: o.Registry, views: o.Views, wake: o.Wake,
		logger: o.Logger, metrics: newMetrics(), progress: newProgress(), expected: newExpected(),
		recent: newRecent(), last: lastBatches{views: make(map[string]lastBatch)}, alone: aloneFor, window: liveWindow,
	}
	if o.Window > 0 {
		r.window = int64(o.Window)
	}
	if o.Alone > 0 {
		r.alone = o.Alone
	}
	return r, r.metrics.register(o.Metrics, r)
}

// Run works on all views until ctx ends, and then returns nil once the last
// batch is done or rolled back.
func (r *Runner) Run(ctx context.Context) error {
	var views errgroup.Group
	for _, v := range r.views {
		views.Go(func() error {
			r.runView(ctx, v)
			return nil
		})
	}
	views.Go(func() error {
		r.rebuildViews(ctx)
		return nil
	})
	return views.Wait() //nolint:wrapcheck // the goroutines above return nil
}

// CatchUp brings every view as near to the head of the log as this program can,
// once, and returns. What other replicas are at is left to them.
func (r *Runner) CatchUp(ctx context.Context) error {
	for _, v := range r.views {
		for more := true; more; {
			c, err := r.catchUp(ctx, v)
			if err != nil {
				return err
			}
			more = c.resumed // it did not look for more
		}
	}
	return nil
}

// register makes the view's row, once in the life of this process.
func (r *Runner) register(ctx context.Context, v View) error {
	if r.progress.known(v.Name) {
		return nil
	}
	if err := r.enrol(ctx, v); err != nil {
		return err
	}
	r.progress.advance(v.Name, 0)
	return nil
}

// enrol makes the view's row where there is none.
func (r *Runner) enrol(ctx context.Context, v View) error {
	_, err := r.reader.NewRaw("INSERT INTO view_positions (view, revision) VALUES (?, ?) ON CONFLICT (view) DO NOTHING", v.Name, v.Revision).Exec(ctx)
	if err != nil {
		return postgres.Fault(fmt.Errorf("register view %s: %w", v.Name, err))
	}
	return nil
}

// job is a kind of batch and the pool it runs on.
type job struct {
	db    *bun.DB
	batch batch
}

// in gives the batch its transaction.
func (j job) in(tx bun.Tx) batch {
	b := j.batch
	b.tx = tx
	return b
}

func (r *Runner) live(v View) job {
	return job{db: r.db, batch: batch{view: v, registry: r.registry, read: r.read, window: r.window}}
}

// inBatch runs one step in a transaction of its own and makes it known. A step
// that was not as presumed, or whose rows the database refuses, is run again to
// find out why.
func (r *Runner) inBatch(ctx context.Context, j job, step func(batch, context.Context) (result, error)) (result, error) {
	start, name, began := now(), j.batch.name(), r.expected.count()
	res, err := r.run(ctx, j, step)
	if !j.batch.careful && (isRefusedRow(err) || errors.Is(err, errUnforeseen)) {
		j.batch.careful = true
		res, err = r.run(ctx, j, step)
	}
	r.last.note(j.batch, res, err)
	if err != nil {
		res.moves = moves{}
	} else if res.standing != absent {
		// Why before settle: who asks between the two would wait for a batch that has nothing for it.
		r.progress.advance(name, res.position)
	}
	r.expected.settle(name, began, res)
	if err != nil {
		return res, fmt.Errorf("batch of view %s: %w", name, err)
	}
	if res.changed() {
		r.metrics.observe(name, res, time.Since(start))
		r.tell(ctx, name, res)
	}
	return res, nil
}

func (r *Runner) run(ctx context.Context, j job, step func(batch, context.Context) (result, error)) (res result, err error) {
	err = postgres.InTx(ctx, j.db, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		res, err = step(j.in(tx), ctx)
		res.came = r.expected.count()
		if err == nil && !res.changed() {
			return errNothing
		}
		return err
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	return res, err
}

// errNothing rolls back a transaction that changed nothing: cheaper than a commit.
var errNothing = errors.New("nothing to do")

// tell logs what an operator has to know. The error itself is not logged: it may
// quote the payload, which belongs to a user. It is in the list of what is parked.
func (r *Runner) tell(ctx context.Context, view string, res result) {
	for _, p := range res.parked {
		r.logger.ErrorContext(ctx, "view parked an aggregate", slog.String("view", view),
			slog.Int64("position", p.Event.Position), slog.String("event", p.Event.Name), slog.String("aggregate_id", p.Event.AggregateID.String()))
	}
	if res.halted != "" {
		r.logger.ErrorContext(ctx, "view halted", slog.String("view", view), slog.String("reason", res.halted))
	}
}
