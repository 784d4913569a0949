package verify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"

	"onepg/internal/aggregator"
	"onepg/internal/domains"
	"onepg/internal/domains/users"
	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
	"onepg/internal/verify"
)

// store is a whole store of users in a database of its own.
type store struct {
	tb       testing.TB
	db       *bun.DB
	log      *eventstore.Log
	domain   domains.Domain
	registry *eventsourcing.Registry
	ids      []uuid.UUID // of users, in the order they were made
}

func newStore(tb testing.TB) *store {
	tb.Helper()
	db, err := postgres.Open(tb.Context(), postgres.Options{URL: pgtest.New(tb), StatementTimeout: postgres.NoTimeout})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	s := &store{tb: tb, db: db, domain: users.New(domains.Deps{DB: db})}
	if s.registry, err = eventsourcing.NewRegistry(s.domain.Events...); err != nil {
		tb.Fatal(err)
	}
	s.log = eventstore.Open(eventstore.Options{Writer: db, Reader: db, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	tb.Cleanup(s.log.Close)
	if err := s.log.Register(tb.Context(), s.domain.Events); err != nil {
		tb.Fatal(err)
	}
	return s
}

// append adds n events: of each ten, seven make a user, two change one and one
// deletes one.
func (s *store) append(ctx context.Context, n int) error {
	batch := make([]eventsourcing.Event, 0, 1000)
	for i := range n {
		e := eventsourcing.Event{ID: uuid.New(), AggregateID: uuid.New(), Actor: "test"}
		switch {
		case i%10 < 7:
			e.Name, e.Payload = "user.created", json.RawMessage(fmt.Sprintf(`{"name":"User %d","email":"u%d@example.com"}`, i, i))
			s.ids = append(s.ids, e.AggregateID)
		case i%10 < 9:
			e.Name, e.Payload = "user.updated", json.RawMessage(fmt.Sprintf(`{"name":"Renamed %d"}`, i))
			e.AggregateID = s.ids[len(s.ids)-1-i%3]
		default:
			e.Name, e.Payload = "user.deleted", json.RawMessage(`{}`)
			e.AggregateID = s.ids[len(s.ids)-5]
		}
		batch = append(batch, e)
		if len(batch) == cap(batch) || i == n-1 {
			if _, err := s.log.Append(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}

// renameSome changes n of all users, so that rows are at work while they are
// looked at.
func (s *store) renameSome(ctx context.Context, n int) error {
	batch := make([]eventsourcing.Event, n)
	for i := range batch {
		nth := rand.IntN(len(s.ids)/7) * 7 // the first of seven is never deleted
		batch[i] = eventsourcing.Event{
			ID: uuid.New(), AggregateID: s.ids[nth], Actor: "test", Name: "user.updated", Payload: json.RawMessage(`{"name":"Anew"}`),
		}
	}
	_, err := s.log.Append(ctx, batch)
	return err
}

// fill makes a store of n events whose view has caught up, sealed but for the
// last positions that make no whole range of size.
func (s *store) fill(n, size int) {
	s.tb.Helper()
	if err := s.append(s.tb.Context(), n); err != nil {
		s.tb.Fatal(err)
	}
	s.catchUp()
	s.exec("SELECT seal_events(?, '1 hour', 1000000)", size)
}

// catchUp lets the views read all there is.
func (s *store) catchUp() {
	s.tb.Helper()
	if err := s.views().CatchUp(s.tb.Context()); err != nil {
		s.tb.Fatal(err)
	}
}

// views makes what keeps the views, woken every millisecond.
func (s *store) views() *aggregator.Runner {
	s.tb.Helper()
	runner, err := aggregator.New(aggregator.Options{
		DB: s.db, Rebuilder: s.db, Reader: s.db, Registry: s.registry, Views: s.domain.Views,
		Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Read: func(ctx context.Context, tx bun.IDB, r aggregator.LogRange) ([]eventsourcing.Recorded, error) {
			return eventstore.ReadFrom(ctx, tx, eventstore.Query{After: r.After, UpTo: r.UpTo, Limit: r.Limit, Aggregate: r.Aggregate})
		},
		Wake: func() (<-chan struct{}, func()) {
			ticker, wake, done := time.NewTicker(time.Millisecond), make(chan struct{}), make(chan struct{})
			go func() {
				for {
					select {
					case <-ticker.C:
					case <-done:
						return
					}
					select {
					case wake <- struct{}{}:
					case <-done:
						return
					}
				}
			}()
			return wake, func() { ticker.Stop(); close(done) }
		},
	})
	if err != nil {
		s.tb.Fatal(err)
	}
	return runner
}

// runViews keeps the views up to date until stop is called.
func (s *store) runViews() (stop func()) {
	s.tb.Helper()
	runner := s.views()
	ctx, cancel := context.WithCancel(s.tb.Context())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			s.tb.Error(err)
		}
	}
}

func (s *store) exec(statement string, args ...any) {
	s.tb.Helper()
	if _, err := s.db.NewRaw(statement, args...).Exec(s.tb.Context()); err != nil {
		s.tb.Fatalf("%s: %v", statement, err)
	}
}

// tamper does what a superuser can, and puts the triggers back as if nothing
// had been.
func (s *store) tamper(statements ...string) {
	s.tb.Helper()
	err := s.db.RunInTx(s.tb.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
		all := append([]string{"ALTER TABLE events DISABLE TRIGGER ALL", "ALTER TABLE event_seals DISABLE TRIGGER ALL"}, statements...)
		for _, statement := range append(all,
			"ALTER TABLE events ENABLE TRIGGER ALL", "ALTER TABLE events ENABLE ALWAYS TRIGGER events_refuse_change",
			"ALTER TABLE event_seals ENABLE ALWAYS TRIGGER event_seals_refuse_change") {
			if _, err := tx.NewRaw(statement).Exec(ctx); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		return nil
	})
	if err != nil {
		s.tb.Fatal(err)
	}
}

func (s *store) options() verify.Options {
	return verify.Options{DB: s.db, Registry: s.registry, Views: s.domain.Views}
}

func (s *store) verify(o verify.Options) *verify.Report {
	s.tb.Helper()
	report, err := verify.Run(s.tb.Context(), o)
	if err != nil {
		s.tb.Fatal(err)
	}
	return report
}

// has reports whether a finding of the check is at the position and says the words.
func has(r *verify.Report, check string, position int64, words string) bool {
	for _, f := range r.Findings {
		if f.Check == check && f.Position == position && strings.Contains(f.Detail, words) {
			return true
		}
	}
	return false
}

func TestTamperingIsFoundAndLocated(t *testing.T) {
	t.Parallel()
	const n = 250 // sealed in ranges of 20 up to 240
	for name, c := range map[string]struct {
		tamper   []string
		check    string
		position int64 // of the finding
		first    int64 // the first bad position of the report
		words    string
	}{
		"payload": {
			[]string{`UPDATE events SET payload = '{"name":"Mallory","email":"m@example.com"}' WHERE "position" = 42`},
			"seals", 42, 42, "is not the one that was sealed",
		},
		"payload's white space": {
			[]string{`UPDATE events SET payload = (payload::text || ' ')::json WHERE "position" = 42`},
			"seals", 42, 42, "is not the one that was sealed",
		},
		"actor": {
			[]string{`UPDATE events SET actor = 'somebody else' WHERE "position" = 143`},
			"seals", 143, 143, "is not the one that was sealed",
		},
		"time": {
			[]string{`UPDATE events SET recorded_at = recorded_at + interval '1 microsecond' WHERE "position" = 7`},
			"seals", 7, 7, "is not the one that was sealed",
		},
		"time that is not sealed": {
			[]string{`UPDATE events SET recorded_at = recorded_at - interval '1 day' WHERE "position" = 245`},
			"log", 245, 245, "recorded at",
		},
		"tail": {
			[]string{
				`DELETE FROM events WHERE "position" > 235`, `UPDATE event_log_head SET "position" = 235`,
				`UPDATE view_positions SET "position" = 235`,
			},
			"seals", 236, 236, "is missing",
		},
		"tail that is not sealed": {
			[]string{`DELETE FROM events WHERE "position" > 245`},
			"head", 246, 246, "last events are missing",
		},
		"middle": {
			[]string{`DELETE FROM events WHERE "position" = 100`},
			"log", 100, 100, "position 100 is missing",
		},
		"middle, moved together": {
			[]string{
				`DELETE FROM events WHERE "position" = 100`,
				`UPDATE events SET "position" = -"position" WHERE "position" > 100`, `UPDATE events SET "position" = -"position" - 1 WHERE "position" < 0`,
				`UPDATE event_log_head SET "position" = 249`, `UPDATE view_positions SET "position" = 249`,
			},
			"seals", 100, 100, "is not the one that was sealed",
		},
		"whole aggregate": {
			[]string{
				`DELETE FROM users WHERE id = (SELECT aggregate_id FROM events WHERE "position" = 32)`,
				`DELETE FROM view_locks WHERE aggregate_id = (SELECT aggregate_id FROM events WHERE "position" = 32)`,
				`DELETE FROM events WHERE aggregate_id = (SELECT aggregate_id FROM events WHERE "position" = 32)`,
			},
			"seals", 32, 32, "was sealed and is missing",
		},
		"swapped positions": {
			[]string{
				`UPDATE events SET "position" = -1 WHERE "position" = 61`, `UPDATE events SET "position" = 61 WHERE "position" = 62`,
				`UPDATE events SET "position" = 62 WHERE "position" = -1`,
			},
			"seals", 61, 61, "is not the one that was sealed",
		},
		"forged insert": {
			[]string{`INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
			 VALUES (251, now(), gen_random_uuid(), gen_random_uuid(), 1, 1, 'user.created', 'test', '{"name":"M","email":"m@example.com"}', '{}')`},
			"head", 251, 251, "were not appended",
		},
		"forged insert in the place of another": {
			[]string{
				`DELETE FROM events WHERE "position" = 51`,
				`INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
			 SELECT 51, recorded_at, gen_random_uuid(), gen_random_uuid(), 1, 1, 'user.created', 'test', '{"name":"M","email":"m@example.com"}', '{}'
			   FROM events WHERE "position" = 50`,
			},
			"seals", 51, 51, "is not the one that was sealed",
		},
		"duplicate after dropping the index": {
			[]string{
				`ALTER TABLE events DROP CONSTRAINT events_id_key`,
				`INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
			 SELECT 251, now(), id, gen_random_uuid(), 1, 1, name, actor, payload, metadata FROM events WHERE "position" = 21`,
				`UPDATE event_log_head SET "position" = 251, recorded_at = clock_timestamp()`,
				`CREATE INDEX events_id_key ON events (id)`,
			},
			"duplicates", 251, 251, "comes at positions 21 and 251",
		},
		"version": {
			[]string{`UPDATE events SET version = 9 WHERE "position" = 249`},
			"duplicates", 249, 249, "has version 9 after version",
		},
		"position that comes twice": {
			[]string{
				`ALTER TABLE events DROP CONSTRAINT events_pkey`,
				`INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
			 SELECT 244, recorded_at, gen_random_uuid(), gen_random_uuid(), 1, 1, name, actor, payload, metadata FROM events WHERE "position" = 244`,
			},
			"duplicates", 244, 244, "comes more than once",
		},
		"name": {
			[]string{`UPDATE events SET name = 'user.promoted' WHERE "position" = 248`},
			"log", 248, 248, "event_types does not have user.promoted",
		},
		"seal": {
			[]string{`UPDATE event_seals SET hash = sha256('x') WHERE number = 3`},
			"seals", 41, 41, "seal 3 is not the hash",
		},
		"seal's digests": {
			[]string{`UPDATE event_seals SET digests = overlay(digests PLACING '\x00' FROM 9) WHERE number = 3`},
			"seals", 42, 42, "is not the one that was sealed",
		},
		"seal taken out": {
			[]string{`DELETE FROM event_seals WHERE number = 3`},
			"seals", 41, 41, "seals 3 to 3 are missing",
		},
		"seal put in the place of another": {
			[]string{`DELETE FROM event_seals WHERE number = 3`, `UPDATE event_seals SET number = 3, digests = digests WHERE number = 4`},
			"seals", 41, 41, "seal 3 begins at position 61",
		},
		"payload, with a new hash for its seal": {
			[]string{
				`UPDATE events SET actor = 'x' WHERE "position" = 42`,
				`UPDATE event_seals s SET (hash, digests) = (
			   SELECT sha256(int8send(s.number) || int8send(s.first_position) || int8send(s.last_position) || s.previous || string_agg(event_digest(e), '' ORDER BY e."position")),
			          string_agg(substr(event_digest(e), 1, 8), '' ORDER BY e."position")
			     FROM events e WHERE e."position" BETWEEN s.first_position AND s.last_position) WHERE number = 3`,
			},
			"seals", 61, 61, "is not chained to the one before",
		},
		"first seal": {
			[]string{`UPDATE event_seals SET hash = sha256('x') WHERE number = 0`},
			"seals", 0, 1, "seal 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.fill(n, 20)
			s.tamper(c.tamper...)
			report := s.verify(s.options())
			if !has(report, c.check, c.position, c.words) || report.FirstBadPosition != c.first {
				t.Errorf("not found by %s at %d, or the first bad position %d is not %d: %+v",
					c.check, c.position, report.FirstBadPosition, c.first, report.Findings)
			}
		})
	}
}

func TestDamageBesideTheLogIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage string // may name a user with a row, and one that was deleted
		check  string
		words  string
	}{
		"view row":               {`UPDATE users SET email = 'mallory@example.com' WHERE id = :living`, "rows", "email is"},
		"view row gone":          {`DELETE FROM users WHERE id = :living`, "rows", "there is no row"},
		"view row of a deleted":  {`INSERT INTO users VALUES (:deleted, 'Zombie', 'z@example.com', 2, now(), now())`, "rows", "make none"},
		"view row of nobody":     {`INSERT INTO users VALUES (gen_random_uuid(), 'M', 'm@example.com', 1, now(), now())`, "views", "there is a row"},
		"lock behind":            {`UPDATE view_locks SET version = 1 WHERE aggregate_id = :deleted`, "rows", "has read past this event"},
		"lock ahead":             {`UPDATE view_locks SET version = 9 WHERE aggregate_id = :living`, "rows", "has applied version 9"},
		"lock gone":              {`DELETE FROM view_locks WHERE aggregate_id = :living`, "rows", "has read past this event"},
		"lock of nobody":         {`INSERT INTO view_locks VALUES ('users', gen_random_uuid(), 1)`, "views", "the log does not have"},
		"view ahead of the log":  {`UPDATE view_positions SET "position" = 9999`, "views", "the log does not go so far"},
		"disabled trigger":       {`ALTER TABLE events DISABLE TRIGGER events_refuse_change`, "triggers", "events_refuse_change of table events is disabled"},
		"trigger not always":     {`ALTER TABLE events ENABLE TRIGGER events_refuse_change`, "triggers", "not enabled ALWAYS"},
		"trigger gone":           {`DROP TRIGGER event_seals_refuse_change ON event_seals`, "triggers", "event_seals_refuse_change is missing"},
		"trigger with a way out": {`DROP TRIGGER events_refuse_change ON events; CREATE TRIGGER events_refuse_change BEFORE DELETE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_history(); ALTER TABLE events ENABLE ALWAYS TRIGGER events_refuse_change`, "triggers", "does not refuse every change"},
		"trigger that lets pass": {`CREATE OR REPLACE FUNCTION refuse_change_of_history() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`, "triggers", "UPDATE of table events is not refused"},
		"trigger of a stranger":  {`CREATE TRIGGER spy BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse_change_of_history()`, "triggers", "spy"},
		"rule of a stranger":     {`CREATE RULE spy AS ON INSERT TO events DO ALSO NOTIFY spy`, "triggers", "spy"},
		"notification off":       {`ALTER TABLE events DISABLE TRIGGER events_notify_created`, "triggers", "events_notify_created of table events is disabled"},
		"index gone":             {`ALTER TABLE events DROP CONSTRAINT events_id_key`, "indexes", "events has no valid unique index on (id)"},
		"index not unique":       {`ALTER TABLE events DROP CONSTRAINT events_aggregate_id_version_key; CREATE INDEX events_aggregate_id_version_key ON events (aggregate_id, version)`, "indexes", "(aggregate_id, version)"},
		"index not valid":        {`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_id_key'::regclass`, "indexes", "on (id)"},
		"right to write":         {`GRANT INSERT ON events TO PUBLIC`, "rights", "everybody may INSERT table events"},
		"right to seal":          {`GRANT INSERT, TRUNCATE ON event_seals TO PUBLIC`, "rights", "everybody may INSERT, TRUNCATE table event_seals"},
		"right to append":        {`GRANT EXECUTE ON FUNCTION append_events TO PUBLIC`, "rights", "everybody may call append_events"},
		"right to import":        {`GRANT EXECUTE ON FUNCTION import_events TO PUBLIC`, "rights", "everybody may call import_events"},
		"head gone":              {`DELETE FROM event_log_head`, "head", "has 0 rows"},
		"event at no position":   {`INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata) SELECT 0, recorded_at, gen_random_uuid(), gen_random_uuid(), 1, 1, name, actor, payload, metadata FROM events WHERE "position" = 1`, "head", "positions begin at 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.fill(50, 20)
			var living, deleted string
			err := s.db.NewRaw(`SELECT (SELECT id FROM users LIMIT 1), (SELECT aggregate_id FROM events WHERE name = 'user.deleted' LIMIT 1)`).Scan(t.Context(), &living, &deleted)
			if err != nil {
				t.Fatal(err)
			}
			s.exec(strings.NewReplacer(":living", "'"+living+"'", ":deleted", "'"+deleted+"'").Replace(c.damage))
			report := s.verify(s.options())
			for _, f := range report.Findings {
				if f.Check == c.check && strings.Contains(f.Detail, c.words) {
					return
				}
			}
			t.Errorf("%s was not found by %s: %+v", name, c.check, report.Findings)
		})
	}
}
