package eventstore

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/postgres"
)

// request is one caller's events on their way through the queue.
type request struct {
	ctx    context.Context //nolint:containedctx // only to see whether the caller still waits
	events []eventsourcing.Event
	done   chan outcome // capacity 1: the flusher never waits for a caller
}

type outcome struct {
	receipts []eventsourcing.Receipt
	err      error
}

// flush is a flusher's life: gather, send, answer, until the log is closed and
// the queue is empty.
func (l *Log) flush() {
	var next *request // did not fit in the batch before
	var usual crowd
	for {
		if next == nil {
			var ok bool
			if next, ok = l.first(); !ok {
				return
			}
		}
		var batch []*request
		batch, next = l.gather(next, usual.size())
		l.append(batch)
		usual.note(len(batch) + len(l.queue))
	}
}

// crowd is how many requests beyond one were there when a batch was answered:
// those of the batch and those that had come meanwhile, on average.
type crowd float64

// note counts a batch in. The last twenty or so matter.
func (c *crowd) note(requests int) {
	const share = 0.05
	*c += share * (crowd(requests-1) - *c)
}

// size is how many requests the next batch may be expected to have. Why not more
// than eight: where so many come together, enough come while a batch is in flight.
// Why a fraction does not count: a client that has come to be alone is soon taken
// for that.
func (c *crowd) size() int {
	const most, round = 8, 0.85
	return min(most, 1+int(*c+round))
}

// first waits for a request. It reports false when the log is closed and
// nobody waits.
func (l *Log) first() (*request, bool) {
	select {
	case r := <-l.queue:
		return r, true
	case <-l.closing:
	}
	select {
	case r := <-l.queue:
		return r, true
	default:
		return nil, false
	}
}

// gather takes what waits behind first, up to maxBatch events. It gives back the
// request that did not fit. It waits a moment for as many requests as are
// expected, and for none where one is.
func (l *Log) gather(first *request, expected int) (batch []*request, left *request) {
	const moment = time.Millisecond
	batch = append(batch, first)
	size := len(first.events)
	late := time.NewTimer(moment)
	defer late.Stop()
	for {
		patience := late.C
		if len(batch) >= expected {
			patience = nil
		}
		r := l.behind(patience)
		switch {
		case r == nil:
			return batch, nil
		case r.ctx.Err() != nil:
			continue // nobody waits for it any more
		}
		if size += len(r.events); size > maxBatch {
			return batch, r
		}
		batch = append(batch, r)
	}
}

// behind is the next request of the queue, or nil when there is none, or none
// comes until it is late. Without late it does not wait.
func (l *Log) behind(late <-chan time.Time) *request {
	select {
	case r := <-l.queue:
		return r
	default:
	}
	if late == nil {
		return nil
	}
	select {
	case r := <-l.queue:
		return r
	case <-late:
		return nil
	}
}

// append sends the batch and answers each of its requests.
func (l *Log) append(batch []*request) {
	answers, err := l.send(batch)
	switch {
	case err == nil:
		if l.recorded != nil {
			l.recorded(added(batch, answers, *l.schemas.Load()))
		}
		for i, r := range batch {
			r.done <- answers[i]
		}
	case isDataException(err) && len(batch) > 1:
		// One payload is at fault. Halving finds it and saves its neighbours.
		half := len(batch) / 2
		l.append(batch[:half])
		l.append(batch[half:])
	default:
		err = translate(err)
		for _, r := range batch {
			r.done <- outcome{err: err}
		}
	}
}

// send calls append_events. A broken connection leaves the outcome unknown;
// then it asks once more with the same ids, which is safe because known ids are
// decided first.
func (l *Log) send(batch []*request) ([]outcome, error) {
	answers, err := l.call(batch)
	if err != nil && postgres.OutcomeUnknown(err) {
		l.metrics.repeated.Inc()
		answers, err = l.call(batch)
	}
	return answers, err
}

// Why not prepared: it takes 15 % off arrays of 100 and nothing off single
// events, but pgdriver (v1.2.18) gives a connection back to the pool when a
// prepared statement on it failed half-way, and the next batch would read the
// answers to the last one.
const appendSQL = `SELECT ordinal, outcome, coalesce(version, 0), coalesce("position", 0), recorded_at
  FROM append_events(?::uuid[], ?::uuid[], ?::text[], ?::json[], ?::integer[], ?::jsonb[], ?::text[], ?::integer[], ?::integer[])`

func (l *Log) call(batch []*request) ([]outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	c := flatten(batch, *l.schemas.Load())
	start := time.Now() //nolint:forbidigo // a duration for the metrics
	rows, err := l.writer.QueryContext(ctx, appendSQL, &c.ids, &c.aggregates, &c.names,
		&c.payloads, &c.expected, &c.metadata, &c.actors, &c.schemas, &c.requests)
	if err != nil {
		return nil, fmt.Errorf("call append_events with %d events: %w", len(c.origins), err)
	}
	defer func() { _ = rows.Close() }()
	answers := make([]outcome, len(batch))
	for rows.Next() {
		var a answer
		if err := rows.Scan(&a.ordinal, &a.outcome, &a.version, &a.position, &a.recordedAt); err != nil {
			return nil, fmt.Errorf("read the answer of append_events: %w", err)
		}
		from := c.origins[a.ordinal-1]
		answers[from.request].add(batch[from.request].events, from.event, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the answers of append_events: %w", err)
	}
	l.metrics.batchSeconds.Observe(time.Since(start).Seconds())
	l.metrics.batchEvents.Observe(float64(len(c.origins)))
	return answers, nil
}

// answer is one row of append_events.
type answer struct {
	ordinal    int
	outcome    string
	version    int
	position   int64
	recordedAt *time.Time
}

// add takes the answer about one of the request's events.
func (o *outcome) add(events []eventsourcing.Event, index int, a answer) {
	e := &events[index]
	switch a.outcome {
	case "appended", "duplicate":
		if o.receipts == nil {
			o.receipts = make([]eventsourcing.Receipt, 0, len(events))
		}
		o.receipts = append(o.receipts, eventsourcing.Receipt{
			ID: e.ID, AggregateID: e.AggregateID, Version: a.version, Position: a.position,
			RecordedAt: eventsourcing.At(*a.recordedAt), Duplicate: a.outcome == "duplicate",
		})
	default:
		o.err = refusal(e, index, a)
	}
}

// added gives what the batch has added to the log, in the order of positions, without what
// may be read otherwise than it was written.
func added(batch []*request, answers []outcome, newest map[string]int) (all []eventsourcing.Recorded) {
	for i, r := range batch {
		if answers[i].err != nil {
			continue
		}
		for j, receipt := range answers[i].receipts {
			metadata, same := jsonbText(r.events[j].Metadata)
			if receipt.Duplicate || !same {
				continue
			}
			e := r.events[j].Recorded(receipt)
			e.SchemaVersion, e.Metadata = cmp.Or(e.SchemaVersion, newest[e.Name]), metadata
			all = append(all, e)
		}
	}
	return all
}

// origin is where an event of a batch came from: the index of its request in
// the batch and its own in that request.
type origin struct{ request, event int }

// columns are a batch as the parallel arrays that append_events takes, and for
// each event where it came from.
type columns struct {
	origins []origin

	ids, aggregates, names, payloads, expected, metadata, actors, schemas, requests array
}

// flatten gives an event without a schema version this program's newest, by its name.
// Why not the catalogue's, which append_events would take: it may be a newer program's,
// and the payload is what this one has checked.
func flatten(batch []*request, newest map[string]int) *columns {
	c := new(columns)
	for i, r := range batch {
		for j := range r.events {
			e := &r.events[j]
			c.add(e, cmp.Or(e.SchemaVersion, newest[e.Name]), origin{i, j})
		}
	}
	return c
}

func (c *columns) add(e *eventsourcing.Event, schema int, from origin) {
	c.origins = append(c.origins, from)
	c.requests.addInt(from.request)
	c.ids.addText(e.ID.String())
	c.aggregates.addText(e.AggregateID.String())
	c.names.addText(e.Name)
	c.payloads.addText(string(e.Payload))
	c.actors.addText(e.Actor)
	if e.ExpectedVersion != nil {
		c.expected.addInt(*e.ExpectedVersion)
	} else {
		c.expected.addNull()
	}
	if len(e.Metadata) > 0 {
		c.metadata.addText(string(e.Metadata))
	} else {
		c.metadata.addNull()
	}
	if schema != 0 {
		c.schemas.addInt(schema)
	} else { // the event is of no type that was registered
		c.schemas.addNull()
	}
}

// refusal is what the careful path of append_events decided about the event of
// that index in its request.
func refusal(e *eventsourcing.Event, index int, a answer) error {
	f := &fault.Error{Kind: fault.Conflict, Code: a.outcome, CurrentVersion: &a.version, Event: &index}
	switch a.outcome {
	case "event-id-reused":
		f.Kind, f.CurrentVersion = fault.Invalid, nil
		f.Message = fmt.Sprintf("Event %s is already recorded with another aggregate, name or payload. Use a new id for a new event.", e.ID)
	case "version-conflict":
		f.Message = fmt.Sprintf("Aggregate %s is at version %d, not at the expected %d. Read it again and decide anew.",
			e.AggregateID, a.version, *e.ExpectedVersion)
	case "aggregate-exists":
		f.Message = fmt.Sprintf("Aggregate %s already exists, so %s cannot create it. Use a new aggregate_id.", e.AggregateID, e.Name)
	case "aggregate-missing":
		f.Message = fmt.Sprintf("Aggregate %s does not exist, so %s cannot change it. Create it first.", e.AggregateID, e.Name)
		if a.version > 0 {
			f.Message = fmt.Sprintf("Aggregate %s is of another kind, so %s cannot change it. Look for the right aggregate_id.", e.AggregateID, e.Name)
		}
	case "aggregate-deleted":
		f.Message = fmt.Sprintf("Aggregate %s was deleted, so %s cannot be appended to it.", e.AggregateID, e.Name)
	default:
		return fmt.Errorf("append_events answered %q for event %s (%s)", a.outcome, e.ID, e.Name)
	}
	return f
}

// isDataException reports SQLSTATE class 22: the server understood the
// statement and will not take a value in it.
func isDataException(err error) bool { return strings.HasPrefix(postgres.SQLState(err), "22") }

func translate(err error) error {
	if isDataException(err) {
		return fault.Wrap(err, fault.Invalid, "validation-failed", "PostgreSQL cannot store the payload or the metadata of an event in this request. Send its events one by one to find it.")
	}
	return postgres.Fault(err)
}
