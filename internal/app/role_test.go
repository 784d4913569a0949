package app_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// noRight is the SQLSTATE of what a role may not do.
const noRight = "42501"

// leastRight gives the URL of a database for a role of its own that is a member
// of onepg_server and nothing else.
func leastRight(t *testing.T, database string) string {
	t.Helper()
	owner := connect(t, database)
	role, secret := "onepg_test_"+strings.ToLower(rand.Text()), rand.Text()
	if _, err := owner.Exec(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' IN ROLE onepg_server", role, secret)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := owner.ExecContext(context.WithoutCancel(t.Context()), "DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	address, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword(role, secret)
	return address.String()
}

// TestAServerOfLeastRightDoesAllItsWork runs the program as a role that is only
// a member of onepg_server.
func TestAServerOfLeastRightDoesAllItsWork(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, leastRight(t, database), "--auto-migrate=false")
	id, payment := a.create(ada), uuid.NewString()
	update := event(uuid.New(), id, "user.updated", `{"name":"Ada King"}`)
	pay := paying(id, "10.00", "USD", "wallet")
	for _, c := range []struct {
		what string
		got  answer
	}{
		{"update", a.post(update, "Prefer: wait=10")},
		{"update again", a.post(update)},
		{"payment", a.do(http.MethodPost, "/v1/payments/"+payment+"/process", pay, "Idempotency-Key: 1", "Prefer: wait=10")},
		{"payment again", a.do(http.MethodPost, "/v1/payments/"+payment+"/process", pay, "Idempotency-Key: 1")},
		{"payment's summary", a.get("/v1/payments/" + payment)},
		{"statistics", a.get("/v1/payments/statistics/daily?date=2026-01-01")},
		{"list", a.get("/v1/users")},
		{"history", a.get("/v1/users/" + id.String() + "/history")},
		{"time travel", a.get("/v1/users/" + id.String() + "?version=1")},
		{"list of the past", a.get("/v1/users?" + asOf(time.Now()))},
		{"revert", a.do(http.MethodPost, "/v1/users/"+id.String()+"/revert", `{"id":"`+uuid.NewString()+`","to_version":2}`, "Prefer: wait=10")},
		{"log", a.get("/v1/events")},
		{"views", a.get("/v1/views")},
		{"metrics", a.get("/metrics")},
		{"ready", a.get("/readyz")},
	} {
		if c.got.status >= http.StatusBadRequest {
			t.Errorf("%s: %d %s", c.what, c.got.status, c.got.body)
		}
	}
	// A rebuild makes a table and drops one; the table that it made is dropped by
	// the next.
	for range 2 {
		before := usersTable(t, database)
		if got := a.do(http.MethodPost, "/v1/views/users/rebuild", ""); got.status != http.StatusAccepted {
			t.Fatalf("rebuild: %d %s", got.status, got.body)
		}
		a.untilView("rebuilt", func(l viewList) bool { return l.Items[0].Rebuild == nil && usersTable(t, database) != before })
		if got := a.get("/v1/users/" + id.String()); !strings.Contains(got.body, "Ada King") {
			t.Errorf("the user after the rebuild: %d %s", got.status, got.body)
		}
	}
	a.poison(id)
	a.untilView("parked", func(l viewList) bool { return l.Items[0].Parked == 1 })
	if got := a.do(http.MethodPost, "/v1/views/users/parked/"+id.String()+"/retry", ""); got.status != http.StatusAccepted {
		t.Errorf("retry: %d %s", got.status, got.body)
	}
}

// usersTable is the number of the table of users, another one after a rebuild.
func usersTable(t *testing.T, database string) (oid int64) {
	t.Helper()
	if err := connect(t, database).NewRaw("SELECT 'users'::regclass::oid::bigint").Scan(t.Context(), &oid); err != nil {
		t.Fatal(err)
	}
	return oid
}

// TestTheWorkBesideRequestsNeedsNoMoreRight is about the sealer, the cache of
// snapshots and the last use of keys, whose failures no request would show.
func TestTheWorkBesideRequestsNeedsNoMoreRight(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	server := leastRight(t, database)
	a := startOn(t, server, "--auto-migrate=false", "--auth=keys")
	key := makeKey(t, database, "web", "users:write")
	if got := a.post(event(uuid.New(), uuid.New(), "user.created", ada), key); got.status != http.StatusCreated {
		t.Fatalf("%d %s", got.status, got.body)
	}
	a.stop() // which notes the last use
	db := connect(t, server)
	if err := eventstore.SealAll(t.Context(), db); err != nil {
		t.Errorf("seal: %v", err)
	}
	log := eventstore.Open(eventstore.Options{Writer: db, Reader: db, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	defer log.Close()
	log.SaveSnapshot(eventsourcing.Snapshot{AggregateID: uuid.New(), Version: 1, Schema: "test", State: []byte("{}")})
	deadline := time.Now().Add(20 * time.Second)
	for {
		var used, sealed, cached bool
		err := connect(t, database).NewRaw(`SELECT (SELECT last_used_at IS NOT NULL FROM api_keys), (SELECT max(last_position) = 1 FROM event_seals),
			EXISTS (SELECT FROM snapshots WHERE schema = 'test')`).Scan(t.Context(), &used, &sealed, &cached)
		if err != nil {
			t.Fatal(err)
		}
		if used && sealed && cached {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("last use noted: %t, sealed: %t, snapshot written: %t", used, sealed, cached)
		}
	}
}

// TestWhatAnEventDoesIsNotTheServersToChange adds an event, which a server may,
// and means something else by it, which it may not.
func TestWhatAnEventDoesIsNotTheServersToChange(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	server := connect(t, leastRight(t, database))
	const register = "SELECT register_event_types(ARRAY['test.made'], ARRAY[?::integer], ARRAY[?::text])"
	for _, c := range []struct {
		db        *bun.DB
		version   int
		lifecycle string
		refused   bool
	}{
		{server, 1, "creates", false},
		{server, 2, "creates", false},
		{server, 3, "ends", true},
		{server, 2, "changes", true},
		{connect(t, database), 2, "changes", false}, // the owner
	} {
		_, err := c.db.NewRaw(register, c.version, c.lifecycle).Exec(t.Context())
		if state := postgres.SQLState(err); (state == noRight) != c.refused || (err != nil) != c.refused {
			t.Errorf("version %d that %s: %v", c.version, c.lifecycle, err)
		}
	}
}

// TestAServerOfLeastRightCannotTouchHistory plays an attacker who has the
// server's credentials.
func TestAServerOfLeastRightCannotTouchHistory(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, database)
	a.create(ada)
	a.stop()
	if _, err := connect(t, database).Exec("SELECT seal_events(patience => '0')"); err != nil {
		t.Fatal(err)
	}
	before := history(t, database)
	attacker := connect(t, leastRight(t, database))
	// Granting what one does not have is a warning and no error.
	if _, err := attacker.Exec("GRANT ALL ON events, event_seals TO CURRENT_USER"); err != nil {
		t.Fatal(err)
	}
	for _, attack := range []string{
		"UPDATE events SET actor = 'x'",
		"DELETE FROM events",
		"TRUNCATE events",
		`INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata) SELECT 2, now(), gen_random_uuid(), gen_random_uuid(), 1, 1, name, actor, payload, metadata FROM events`,
		"SELECT FROM events FOR UPDATE",
		"DO 'BEGIN LOCK TABLE events IN EXCLUSIVE MODE; END'",
		"ALTER TABLE events DISABLE TRIGGER events_refuse_change",
		"ALTER TABLE events DISABLE TRIGGER ALL",
		"DROP TRIGGER events_refuse_change ON events",
		"DROP TABLE events",
		"ALTER TABLE events RENAME TO old_events",
		"ALTER TABLE events OWNER TO CURRENT_USER",
		"ALTER TABLE events DROP CONSTRAINT events_id_key",
		"CREATE RULE r AS ON INSERT TO events DO INSTEAD NOTHING",
		"CREATE TRIGGER t BEFORE INSERT ON events EXECUTE FUNCTION refuse_change_of_history()",
		"CREATE OR REPLACE FUNCTION refuse_change_of_history() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
		"ALTER FUNCTION refuse_change_of_history() OWNER TO CURRENT_USER",
		"SET session_replication_role = replica",
		"SET ROLE postgres",
		"UPDATE event_log_head SET \"position\" = 0",
		"UPDATE event_seals SET hash = hash",
		"DELETE FROM event_seals",
		"INSERT INTO event_seals SELECT number + 1, first_position, last_position, sealed_at, previous, hash, digests FROM event_seals",
		"DELETE FROM event_types",
		"TRUNCATE event_types",
		"DELETE FROM bun_migrations",
		"SELECT import_events(ARRAY[2], ARRAY[now()], ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], ARRAY[1], ARRAY[1], ARRAY['user.created'], ARRAY['x'], ARRAY['{}']::json[], ARRAY['{}']::jsonb[])",
		"SELECT append_event(gen_random_uuid(), gen_random_uuid(), 'user.created', '{}', 0, '{}', 'x', 1, 2, now())",
		"UPDATE event_types SET lifecycle = 'changes'",
		"INSERT INTO event_types VALUES ('test.made', 1, 'creates')",
		"SELECT register_event_types(ARRAY['user.deleted'], ARRAY[9], ARRAY['changes'])",
		"INSERT INTO api_keys (name, hash, scopes) VALUES ('evil', sha256('x'), '{users:write}')",
		"UPDATE api_keys SET scopes = '{users:write}'",
		"DELETE FROM api_keys",
		"INSERT INTO server_rights VALUES ('events', '{DELETE}')",
		"UPDATE server_rights SET privileges = '{INSERT}'",
		"SELECT grant_server_rights()",
		"SELECT grant_view('events')",
		"SELECT view_rebuild_create('events')",
		"SELECT view_rebuild_index('events')",
		"SELECT view_rebuild_swap('events')",
		"SELECT view_rebuild_create('event_log_head')",
		"SELECT view_rebuild_create('event_types')",
		"SELECT view_rebuild_create('event_seals')",
		"SELECT view_rebuild_create('api_keys')",
		"SELECT view_rebuild_create('bun_migrations')",
		"SELECT view_rebuild_grant('events', 'users')",
		"SELECT view_rebuild_check('users')",
		"CREATE TABLE events_rebuild ()",
		"CREATE TABLE x ()",
		"CREATE SCHEMA x",
		"CREATE FUNCTION cardinality(uuid[]) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
		"DROP TABLE users",
		"ALTER TABLE users ADD x integer",
		"CREATE TRIGGER t AFTER INSERT ON users EXECUTE FUNCTION refuse_change_of_history()",
		"COPY events FROM PROGRAM 'true'",
	} {
		if _, err := attacker.Exec(attack); postgres.SQLState(err) != noRight {
			t.Errorf("%s: %v, want it refused for want of rights", attack, err)
		}
	}
	// What a view may be called, lest a cut name be that of another table.
	for _, view := range []string{"users_rebuild", strings.Repeat("x", 56)} {
		if _, err := attacker.Exec("SELECT view_rebuild_create(?)", view); postgres.SQLState(err) == "" {
			t.Errorf("a view called %s is rebuilt", view)
		}
	}
	if after := history(t, database); after != before {
		t.Errorf("history was %s and is %s", before, after)
	}
}

// TestAnOwnerWithoutPowersMigratesAndServes is about databases that are given
// out by somebody else: the owner of the schema is no superuser and makes no roles.
func TestAnOwnerWithoutPowersMigratesAndServes(t *testing.T) {
	t.Parallel()
	database := pgtest.Empty(t)
	admin := connect(t, database)
	role, secret := "onepg_test_"+strings.ToLower(rand.Text()), rand.Text()
	for _, statement := range []string{
		fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", role, secret),
		"GRANT CREATE ON SCHEMA public TO " + role,
	} {
		if _, err := admin.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, statement := range []string{"DROP OWNED BY " + role + " CASCADE", "DROP ROLE " + role} {
			if _, err := admin.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
				t.Error(err)
			}
		}
	})
	address, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword(role, secret)
	owner := startOn(t, address.String())
	id := owner.create(ada)
	owner.stop()
	server := startOn(t, leastRight(t, database), "--auto-migrate=false")
	if got := server.post(event(uuid.New(), id, "user.updated", `{"name":"Ada King"}`), "Prefer: wait=10"); got.status != http.StatusCreated {
		t.Errorf("%d %s", got.status, got.body)
	}
	before := usersTable(t, database)
	server.do(http.MethodPost, "/v1/views/users/rebuild", "")
	server.untilView("rebuilt", func(l viewList) bool { return l.Items[0].Rebuild == nil && usersTable(t, database) != before })
}

// TestTemporaryObjectsDoNotStandInForTheLog tries what functions that run as
// their owner are known for: to be made to take somebody else's objects for
// their own.
func TestTemporaryObjectsDoNotStandInForTheLog(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	a := startOn(t, database)
	a.create(ada)
	a.stop()
	before := history(t, database)
	attacker := connect(t, leastRight(t, database))
	attacker.SetMaxOpenConns(1) // temporary objects are the session's
	for _, statement := range []string{
		"CREATE TEMP TABLE event_log_head (singleton boolean, \"position\" bigint, recorded_at timestamptz)",
		"INSERT INTO pg_temp.event_log_head VALUES (true, 0, now())",
		`CREATE FUNCTION pg_temp.evil() RETURNS trigger LANGUAGE plpgsql AS
		 'BEGIN ALTER TABLE public.events DISABLE TRIGGER ALL; DELETE FROM public.events; RETURN NEW; END'`,
		"CREATE TRIGGER evil BEFORE UPDATE ON pg_temp.event_log_head FOR EACH ROW EXECUTE FUNCTION pg_temp.evil()",
		`SELECT * FROM append_events(ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], ARRAY['user.created'], ARRAY['{"name":"M","email":"m@example.com"}']::json[])`,
		"CREATE TEMP TABLE event_seals (LIKE public.event_seals)",
		"SELECT * FROM seal_events(patience => '0')",
		"CREATE TEMP TABLE x (id uuid PRIMARY KEY)",
		"CREATE TEMP TABLE event_types (LIKE public.event_types)",
		"SELECT register_event_types(ARRAY['test.made'], ARRAY[1], ARRAY['creates'])",
		// What it may rebuild is a view, and stays one.
		"SELECT view_rebuild_create('users')",
		"CREATE TEMP TABLE users_rebuild (id uuid)",
		"SELECT view_rebuild_index('users')",
		"SELECT view_rebuild_swap('users')",
	} {
		if _, err := attacker.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if _, err := attacker.Exec("SELECT view_rebuild_create('x')"); err == nil {
		t.Error("a temporary table was taken for a view")
	}
	if _, err := attacker.Exec("DISCARD TEMP"); err != nil {
		t.Fatal(err)
	}
	var head struct{ Position, Sealed int64 }
	err := connect(t, database).NewRaw(`SELECT h."position", (SELECT max(last_position) FROM event_seals) AS sealed FROM event_log_head h`).Scan(t.Context(), &head.Position, &head.Sealed)
	if err != nil || head.Position != 2 || head.Sealed != 2 {
		t.Errorf("the log ends at %d and is sealed up to %d, want 2 and 2 (%v)", head.Position, head.Sealed, err)
	}
	if after := history(t, database); !strings.HasPrefix(after, strings.TrimSuffix(before, "]")) {
		t.Errorf("history was %s and is %s", before, after)
	}
}

// history is the log as text.
func history(t *testing.T, database string) string {
	t.Helper()
	var text string
	if err := connect(t, database).NewRaw(`SELECT json_agg(e ORDER BY e."position")::text FROM events e`).Scan(t.Context(), &text); err != nil {
		t.Fatal(err)
	}
	return text
}
