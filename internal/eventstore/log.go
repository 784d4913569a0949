package eventstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/postgres"
)

// Options are what a Log needs.
type Options struct {
	// Writer is the pool for append_events, which nothing else may use. It needs two
	// connections: one for a batch, and one for its repetition.
	Writer *bun.DB
	// Reader is the pool for everything else.
	Reader *bun.DB
	// Recorded, if there is one, is told what was recorded, in the order of positions and
	// before those who appended it. Appends wait for it, so it has to be quick. Not all is
	// told: what other processes recorded never is, nor what was found recorded when a
	// broken batch was repeated, nor an event whose metadata has more than texts. Payloads
	// and metadata are parts of requests' bodies, which may be much longer: who keeps them
	// copies them.
	Recorded func([]eventsourcing.Recorded)
	// Metrics receives the batch sizes and durations.
	Metrics prometheus.Registerer
	Logger  *slog.Logger
}

// Log is the event log. It is safe for concurrent use. Close it to stop
// taking requests.
type Log struct {
	writer   *bun.DB
	reader   *bun.DB
	recorded func([]eventsourcing.Recorded)
	logger   *slog.Logger
	metrics  metrics

	snapshots chan eventsourcing.Snapshot // on their way into the cache

	schemas atomic.Pointer[map[string]int] // newest versions by event names, since Register

	queue   chan *request
	closing chan struct{} // closed by Close: no new requests
	closed  sync.WaitGroup
	once    sync.Once

	answerTimeout time.Duration // the constant, but for tests
}

const (
	// maxBatch bounds a batch in events. Beyond it a batch takes longer
	// without getting cheaper per event.
	maxBatch = 1000
	// queueLength bounds the requests that wait. Beyond it callers wait to
	// get in, within their own deadline.
	queueLength = 4096
	// batchTimeout ends a call the server does not answer. It is longer than
	// the server's own statement_timeout, which should come first.
	batchTimeout = 8 * time.Second
	// answerTimeout bounds an Append, whatever becomes of its batch. Why: behind
	// a connection that went silent a batch takes two batchTimeouts, its own and
	// the repetition's, and who came meanwhile waits for both and then for as
	// long again: 24 s were measured, and 12 s are promised.
	answerTimeout = 10 * time.Second
)

// Open starts what writes the batches, one at a time. Why one: appends are serial
// under the head's lock, so a second one only overlaps the network, and halves the
// batches: it took 1.4 times PostgreSQL's time per event for 6 % more.
func Open(o Options) *Log {
	l := &Log{
		writer:    o.Writer,
		reader:    o.Reader,
		recorded:  o.Recorded,
		logger:    o.Logger,
		metrics:   newMetrics(o.Metrics),
		snapshots: make(chan eventsourcing.Snapshot, snapshotQueue),
		queue:     make(chan *request, queueLength),
		closing:   make(chan struct{}),

		answerTimeout: answerTimeout,
	}
	l.schemas.Store(new(map[string]int))
	l.closed.Go(l.writeSnapshots)
	l.closed.Go(l.flush)
	return l
}

// Close refuses new requests, answers those that are waiting, and returns when
// the last batch is done.
func (l *Log) Close() {
	l.once.Do(func() { close(l.closing) })
	l.closed.Wait()
}

// Append records the events, all or none, and gives their receipts in order.
//
// It fails with a [fault.Error]: Conflict with the code version-conflict,
// aggregate-exists, aggregate-missing or aggregate-deleted; Invalid with
// event-id-reused, each with the Event that was refused; Unavailable when the
// database is away, does not answer within 10 s, or ctx ends first, in which case
// the events may or may not be recorded and the same request may be repeated.
func (l *Log) Append(ctx context.Context, events []eventsourcing.Event) ([]eventsourcing.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, l.answerTimeout)
	defer cancel()
	r := &request{ctx: ctx, events: events, done: make(chan outcome, 1)}
	select {
	case <-l.closing:
		return nil, errShuttingDown()
	default:
	}
	select {
	case l.queue <- r:
	case <-l.closing:
		return nil, errShuttingDown()
	case <-ctx.Done():
		return nil, errGaveUp(ctx)
	}
	select {
	case o := <-r.done:
		return o.receipts, o.err
	case <-ctx.Done():
		return nil, errGaveUp(ctx)
	}
}

// Register tells the database which events this program appends, so that
// append_events knows what each does to its aggregate. A newer program's
// schema version is not taken back by an older one; what this one appends from here on
// is of the versions that it knows. A server of least right
// cannot change what an event that is there does to its aggregate, and fails if
// it means something else.
func (l *Log) Register(ctx context.Context, types []eventsourcing.EventType) error {
	if len(types) == 0 {
		return nil
	}
	names, versions, lifecycles := make([]string, len(types)), make([]int, len(types)), make([]string, len(types))
	schemas := make(map[string]int, len(types))
	for i, t := range types {
		names[i], versions[i], lifecycles[i] = t.Name, t.SchemaVersion(), string(t.Lifecycle)
		schemas[t.Name] = t.SchemaVersion()
	}
	_, err := l.reader.NewRaw("SELECT register_event_types(?::text[], ?::integer[], ?::text[])",
		pgdialect.Array(names), pgdialect.Array(versions), pgdialect.Array(lifecycles)).Exec(ctx)
	if err != nil {
		return postgres.Fault(fmt.Errorf("register the events in event_types: %w", err))
	}
	l.schemas.Store(&schemas)
	return nil
}

func errShuttingDown() error {
	return &fault.Error{
		Kind: fault.Unavailable, Code: "unavailable", RetryAfter: time.Second,
		Message: "The server is shutting down. Nothing is known to be lost: repeat the request with the same ids.",
	}
}

func errGaveUp(ctx context.Context) error {
	return &fault.Error{
		Kind: fault.Unavailable, Code: "unavailable", RetryAfter: time.Second, Err: context.Cause(ctx),
		Message: "The database did not answer in time. Nothing is known to be lost: repeat the request with the same ids.",
	}
}
