package aggregator_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// thing is the row of the view under test: a sum, so that an event applied
// twice or not at all shows.
type thing struct {
	ID      uuid.UUID `bun:"id,pk,type:uuid"`
	Sum     int       `bun:"sum,type:integer"`
	Version int       `bun:"version,type:integer"`
}

type event interface{ aboutThing() }

type made struct{}

type added struct {
	N int `json:"n"`
}

type broken struct{}

func (made) aboutThing()   {}
func (added) aboutThing()  {}
func (broken) aboutThing() {}

var errPoison = errors.New("thirteen is not to be added")

// evolve adds up, refuses 13 and panics at 666.
func evolve(t *thing, e event, from eventsourcing.Recorded) (*thing, error) {
	switch e := e.(type) {
	case made:
		return &thing{ID: from.AggregateID, Version: from.Version}, nil
	case added:
		switch e.N {
		case 13:
			return nil, errPoison
		case 666:
			panic("the number of the beast")
		}
		next := *t
		next.Sum += e.N
		next.Version = from.Version
		return &next, nil
	default:
		return nil, nil //nolint:nilnil // the thing is no more
	}
}

func types() []eventsourcing.EventType {
	return []eventsourcing.EventType{
		eventsourcing.Type[made]("thing.made", eventsourcing.Creates),
		eventsourcing.Type[added]("thing.added", eventsourcing.Changes),
		eventsourcing.Type[broken]("thing.broken", eventsourcing.Ends),
	}
}

// world is one database with its log, to run views against.
type world struct {
	t   testing.TB
	url string
	db  *bun.DB
	log *eventstore.Log
}

// newWorld is a world with the table of the view under test.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := openWorld(t, pgtest.New(t), types())
	w.exec("CREATE TABLE things (id uuid PRIMARY KEY, sum integer NOT NULL, version integer NOT NULL)")
	return w
}

func openWorld(t testing.TB, url string, events []eventsourcing.EventType) *world {
	t.Helper()
	// Why no timeouts: nothing here is about them, and the machine may be slow.
	db, err := postgres.Open(t.Context(), postgres.Options{
		URL: url, MaxConns: 8, StatementTimeout: postgres.NoTimeout, AppName: "world",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := &world{t: t, url: url, db: db, log: eventstore.Open(eventstore.Options{
		Writer: db, Reader: db, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})}
	t.Cleanup(w.log.Close)
	if err := w.log.Register(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.db.NewRaw(sql, args...).Exec(w.t.Context()); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// read is the log as views read it.
func read(ctx context.Context, tx bun.IDB, r aggregator.LogRange) ([]eventsourcing.Recorded, error) {
	q := eventstore.Query{After: r.After, UpTo: r.UpTo, AggregateID: r.AggregateID, Limit: r.Limit, PayloadBudget: r.PayloadBudget}
	if r.Aggregate != "" {
		q.Aggregates = []string{r.Aggregate}
	}
	return eventstore.ReadFrom(ctx, tx, q)
}

// things is the view under test.
func things(options ...func(*aggregator.View)) aggregator.View {
	return aggregator.Define[thing, event]("things", "thing", evolve, options...)
}

// runner makes a replica that knows the given events.
func (w *world) runner(known []eventsourcing.EventType, views ...aggregator.View) *aggregator.Runner {
	w.t.Helper()
	registry, err := eventsourcing.NewRegistry(known...)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := aggregator.New(aggregator.Options{
		DB: w.db, Rebuilder: w.db, Reader: w.db, Registry: registry, Read: read, Views: views, Wake: ticking,
		Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// run starts a replica and stops it with the test.
func (w *world) run(known []eventsourcing.EventType) *aggregator.Runner {
	w.t.Helper()
	r := w.runner(known, things())
	w.start(r)
	return r
}

// start runs a replica until stop is called or the test ends.
func (w *world) start(r *aggregator.Runner) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// ticking wakes often: the tests below are about what a view does, not when.
func ticking() (<-chan struct{}, func()) {
	wake := make(chan struct{}, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				select {
				case wake <- struct{}{}:
				default:
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return wake, stop
}

// append records a thing's events and gives the last position.
func (w *world) append(id uuid.UUID, payloads ...event) int64 {
	w.t.Helper()
	var events []eventsourcing.Event
	for _, p := range payloads {
		name := map[bool]string{true: "thing.made"}[p == event(made{})]
		switch p.(type) {
		case added:
			name = "thing.added"
		case broken:
			name = "thing.broken"
		}
		body, err := json.Marshal(p)
		if err != nil {
			w.t.Fatal(err)
		}
		events = append(events, eventsourcing.Event{ID: uuid.New(), AggregateID: id, Name: name, Payload: body})
	}
	receipts, err := w.log.Append(w.t.Context(), events)
	if err != nil {
		w.t.Fatal(err)
	}
	return receipts[len(receipts)-1].Position
}

func (w *world) await(r *aggregator.Runner, position int64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	for {
		all, err := r.Status(ctx)
		if err != nil {
			w.t.Fatalf("the view did not reach position %d: %v", position, err)
		}
		if all[0].Position >= position {
			return
		}
	}
}

// sums are the rows as the view shows them.
func (w *world) sums() map[uuid.UUID]int {
	w.t.Helper()
	var rows []thing
	if err := w.db.NewSelect().Model(&rows).Scan(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	sums := make(map[uuid.UUID]int)
	for _, r := range rows {
		sums[r.ID] = r.Sum
	}
	return sums
}

func TestEventsBecomeRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := uuid.New(), uuid.New()
	w.append(a, made{}, added{1}, added{2})
	r := w.run(types())
	w.append(b, made{}, added{5})
	w.await(r, w.append(b, added{6}, broken{}))
	if got := w.sums(); len(got) != 1 || got[a] != 3 {
		t.Errorf("rows %v, want %s: 3 alone, the other was broken", got, a)
	}
}

// P7, with several replicas at once on the same view.
func TestReplicasApplyEachEventOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.run(types()), w.run(types())
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	for _, id := range ids {
		w.append(id, made{})
	}
	var last int64
	for range 200 {
		for _, id := range ids {
			last = w.append(id, added{1}, added{2})
		}
	}
	w.await(one, last)
	w.await(two, last)
	for id, sum := range w.sums() {
		if sum != 600 {
			t.Errorf("thing %s is %d, want 600", id, sum)
		}
	}
}

// P11: a poison event stops its aggregate and nobody else.
func TestAPoisonEventStopsOnlyItsAggregate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.run(types())
	sick, dead, well := uuid.New(), uuid.New(), uuid.New()
	w.append(sick, made{}, added{1}, added{13}, added{2})
	w.append(dead, made{}, added{666})
	w.await(r, w.append(well, made{}, added{7}))
	if got := w.sums(); got[sick] != 1 || got[well] != 7 {
		t.Errorf("rows %v, want %s: 1 and %s: 7", got, sick, well)
	}
	status, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if status[0].Parked != 2 {
		t.Errorf("%d parked, want 2", status[0].Parked)
	}
}

// A replica that does not know an event leaves the view to one that does.
func TestAnUnknownEventWaitsForANewerReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.run(types()[:1])
	id := uuid.New()
	last := w.append(id, made{}, added{4})
	w.await(old, last-1)
	if got := w.sums(); got[id] != 0 {
		t.Errorf("rows %v, want the thing as it was made", got)
	}
	w.await(w.run(types()), last)
	if got := w.sums(); got[id] != 4 {
		t.Errorf("rows %v, want %s: 4", got, id)
	}
}
