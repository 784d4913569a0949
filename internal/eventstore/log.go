// Package eventstore is the log: the only place where events are written, and
// where they are read from.
//
// # Appending
//
// [Log.Append] hands its request to a flusher. The flusher takes whatever came
// while the last batch was in flight, sends it as one call of the SQL function
// append_events, and gives every request its own outcome:
//
//	request ─┐
//	request ─┼─> queue ─> flusher ─> SELECT … FROM append_events(…) ─> outcome per request
//	request ─┘             (one round trip, one commit)
//
// Why: each commit costs a flush, and PostgreSQL makes commits that notify
// serial. One insert per request gave 4,800 requests/s at 32 connections and
// fell to 3,900 at 256; gathering gave 22,000 and rose to 30,000. There is no
// timer: a lone request is a batch of one and waits for nobody.
//
// # Guarantees
//
// A request is recorded whole or not at all. A receipt means the transaction
// is committed (durable as far as the server's synchronous_commit says).
// Positions are 1..N without gaps in commit order: append_events takes them
// while it holds the lock of event_log_head, which PostgreSQL releases when the
// commit is visible. So whoever has read up to position N needs only to ask for
// what is greater, here and on a standby. Known ids are decided before versions,
// which makes a repeated request answer as the first one did.
//
// # Failures
//
// A refusal (a conflict, a reused id) is a [fault.Error] and touches only its
// own request. When the connection breaks in a commit nobody knows the outcome:
// the batch is sent once more with the same ids, which is safe because of them;
// if that fails too, all its requests fail with "unavailable" and may be
// repeated. A payload PostgreSQL will not take in spite of our checks is found
// by halving the batch, and fails alone.
//
// # Erasure
//
// Events are kept for ever, and people have the right to be forgotten. The
// program has no command for that; what this design allows is crypto-shredding:
// encrypt what is personal under a key of that person's own, and forget the key.
//
// Keys would be rows of a table beside the log (subject, key, erased_at), wrapped
// by a master key that the database does not have. A field that its event's
// definition marks as personal is encrypted after the payload was validated and
// before [Log.Append], so that the log holds {"subject": …, "sealed": …} in its
// place; it is decrypted where upcasters run (eventsourcing.Registry.Read), which
// is the one way from a stored event to a fold, a stream or an export. To erase is
// to delete the key and to append an event that says so: views, also those of
// other domains and of later rebuilds, drop what they hold because of that event,
// snapshots of the aggregate are deleted, and reading an old event gives a fixed
// word in place of each personal field.
//
// What must not be broken, so that this stays possible:
//
//   - Seals are over the stored bytes (event_digest), never over what they mean.
//     Then a forgotten key changes no event, and the chain, app verify and a seal
//     kept outside hold. For the same reason events are not encrypted anew.
//   - A known id is recognised by its payload, so encryption must be deterministic
//     for one event: the nonce comes from the key, the event's id and the field. A
//     random one would turn every repeated request into event-id-reused.
//   - Nothing outside the log but caches holds payloads: views, snapshots. They can
//     be made again from the log, and so also without what was forgotten. A new
//     table that keeps personal data and has no fold would escape.
//   - What is not encrypted names nobody: ids, aggregate ids, event names, actors,
//     metadata. Ids are random and not made from an address; the actor of a token
//     is its subject and should be a pseudonym. NOTIFY carries ids only.
//   - No plain hash of personal data is stored: who can guess a name can test it.
//     A hash of a request, as payments keep for their idempotency keys, would have
//     to be an HMAC under the subject's key.
//   - Payloads are in no log line and no error text, and no index is on them.
//   - Folds must not fail on the fixed word: a rule that a name is valid belongs to
//     what comes in, not to Evolve.
//   - An export holds what the log holds, so it is forgotten with the key. One with
//     plain text (--newest-schema), an SSE client's copy and a backup of the keys are
//     out of reach: backups of the keys must not outlive the promise to erase.
package eventstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
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
	// Writer is the pool for append_events. It needs as many connections as
	// there are flushers, and nothing else may use them.
	Writer *bun.DB
	// Reader is the pool for everything else.
	Reader *bun.DB
	// Metrics receives the batch sizes and durations.
	Metrics prometheus.Registerer
	Logger  *slog.Logger
}

// Log is the event log. It is safe for concurrent use. Close it to stop
// taking requests.
type Log struct {
	writer  *bun.DB
	reader  *bun.DB
	logger  *slog.Logger
	metrics metrics

	snapshots chan eventsourcing.Snapshot // on their way into the cache

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
	// flushers is how many batches may be in flight. Appends are serial under
	// the head's lock, so a second one only overlaps the network, and halves
	// the batches: it took 1.4 times PostgreSQL's time per event for 6 % more.
	flushers = 1
	// batchTimeout ends a call the server does not answer. It is longer than
	// the server's own statement_timeout, which should come first.
	batchTimeout = 8 * time.Second
	// answerTimeout bounds an Append, whatever becomes of its batch. Why: behind
	// a connection that went silent a batch takes two batchTimeouts, its own and
	// the repetition's, and who came meanwhile waits for both and then for as
	// long again: 24 s were measured, and 12 s are promised.
	answerTimeout = 10 * time.Second
)

// Open starts the flushers.
func Open(o Options) *Log {
	l := &Log{
		writer:    o.Writer,
		reader:    o.Reader,
		logger:    o.Logger,
		metrics:   newMetrics(o.Metrics),
		snapshots: make(chan eventsourcing.Snapshot, snapshotQueue),
		queue:     make(chan *request, queueLength),
		closing:   make(chan struct{}),

		answerTimeout: answerTimeout,
	}
	l.closed.Go(l.writeSnapshots)
	for range flushers {
		l.closed.Go(l.flush)
	}
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
// event-id-reused; Unavailable when the database is away, does not answer within
// 10 s, or ctx ends first, in which case the events may or may not be recorded
// and the same request may be repeated.
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
// schema version is not taken back by an older one. A server of least right
// cannot change what an event that is there does to its aggregate, and fails if
// it means something else.
func (l *Log) Register(ctx context.Context, types []eventsourcing.EventType) error {
	if len(types) == 0 {
		return nil
	}
	names, versions, lifecycles := make([]string, len(types)), make([]int, len(types)), make([]string, len(types))
	for i, t := range types {
		names[i], versions[i], lifecycles[i] = t.Name, t.SchemaVersion(), string(t.Lifecycle)
	}
	_, err := l.reader.NewRaw("SELECT register_event_types(?::text[], ?::integer[], ?::text[])",
		pgdialect.Array(names), pgdialect.Array(versions), pgdialect.Array(lifecycles)).Exec(ctx)
	if err != nil {
		return postgres.Fault(fmt.Errorf("register the events in event_types: %w", err))
	}
	return nil
}

// eventTypeRow is what the database knows of an event.
type eventTypeRow struct {
	bun.BaseModel `bun:"table:event_types,alias:t"`

	Name          string `bun:"name,pk"`
	SchemaVersion int    `bun:"schema_version"`
	Lifecycle     string `bun:"lifecycle"`
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
