package app_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

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
	id := a.create(ada)
	event := func(name, payload string) string {
		return `{"id":"` + uuid.NewString() + `","aggregate_id":"` + id.String() + `","name":"` + name + `","payload":` + payload + `}`
	}
	for what, got := range map[string]answer{
		"update":      a.post(event("user.updated", `{"name":"Ada King"}`), "Prefer: wait=10"),
		"payment":     a.do(http.MethodPost, "/v1/payments/"+uuid.NewString()+"/process", `{"customer_id":"`+id.String()+`","amount":{"value":"10.00","currency":"USD"},"method":"wallet"}`, "Idempotency-Key: 1", "Prefer: wait=10"),
		"list":        a.get("/v1/users"),
		"history":     a.get("/v1/users/" + id.String() + "/history"),
		"time travel": a.get("/v1/users/" + id.String() + "?version=1"),
		"log":         a.get("/v1/events"),
		"views":       a.get("/v1/views"),
		"metrics":     a.get("/metrics"),
		"ready":       a.get("/readyz"),
	} {
		if got.status >= http.StatusBadRequest {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	// A rebuild makes a table and drops one.
	if got := a.do(http.MethodPost, "/v1/views/users/rebuild", ""); got.status != http.StatusAccepted {
		t.Fatalf("rebuild: %d %s", got.status, got.body)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		var list viewList
		got := a.get("/v1/views")
		got.into(t, &list)
		if list.Items[0].Status == "live" && list.Items[0].Rebuild == nil && rebuilt(t, database) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the view is not rebuilt: %s", got.body)
		}
	}
	var user struct{ Name string }
	a.get("/v1/users/"+id.String()).into(t, &user)
	if user.Name != "Ada King" {
		t.Errorf("the user is called %q after the rebuild", user.Name)
	}
	if got := a.do(http.MethodPost, "/v1/views/users/rebuild", ""); got.status != http.StatusAccepted {
		t.Errorf("a second rebuild: %d %s", got.status, got.body)
	}
	if _, _, err := eventstore.SealEvents(t.Context(), connect(t, leastRight(t, database))); err != nil {
		t.Errorf("seal: %v", err)
	}
}

// rebuilt reports whether the table of users is another one than the migration
// made: its number is higher than that of tables made after it.
func rebuilt(t *testing.T, database string) bool {
	t.Helper()
	var ok bool
	if err := connect(t, database).NewRaw("SELECT 'users'::regclass::oid > 'event_seals'::regclass::oid").Scan(t.Context(), &ok); err != nil {
		t.Fatal(err)
	}
	return ok
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
		"SET ROLE onepg_views",
		"UPDATE event_log_head SET \"position\" = 0",
		"UPDATE event_seals SET hash = hash",
		"DELETE FROM event_seals",
		"INSERT INTO event_seals SELECT number + 1, first_position, last_position, sealed_at, previous, hash, digests FROM event_seals",
		"DELETE FROM event_types",
		"TRUNCATE event_types",
		"DELETE FROM bun_migrations",
		"SELECT import_events(ARRAY[2], ARRAY[now()], ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()], ARRAY[1], ARRAY[1], ARRAY['user.created'], ARRAY['x'], ARRAY['{}']::json[], ARRAY['{}']::jsonb[])",
		"SELECT append_event(gen_random_uuid(), gen_random_uuid(), 'user.created', '{}', 0, '{}', 'x', 1, 2, now())",
		"SELECT grant_server_rights()",
		"SELECT adopt_view('events')",
		"SELECT view_rebuild_create('events')",
		"SELECT view_rebuild_create('event_log_head')",
		"SELECT view_rebuild_swap('event_types')",
		"CREATE TABLE events_rebuild ()",
		"CREATE TABLE x ()",
		"CREATE SCHEMA x",
		"CREATE FUNCTION cardinality(uuid[]) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
		"DROP TABLE users",
		"ALTER TABLE users ADD x integer",
		"CREATE TRIGGER t AFTER INSERT ON users EXECUTE FUNCTION refuse_change_of_history()",
		"COPY events FROM PROGRAM 'true'",
	} {
		_, err := attacker.Exec(attack)
		// A table with triggers cannot be rebuilt, which is said before the rights.
		const tied, missing = "2BP01", "42P01"
		if state := postgres.SQLState(err); state != noRight && state != tied && (state != missing || !strings.Contains(attack, "view_rebuild")) {
			t.Errorf("%s: %v, want it refused for want of rights", attack, err)
		}
	}
	if after := history(t, database); after != before {
		t.Errorf("history was %s and is %s", before, after)
	}
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
		"GRANT ALL ON x TO onepg_views",
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
