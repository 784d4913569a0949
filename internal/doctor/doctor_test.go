package doctor

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/uptrace/bun"
	"go.uber.org/goleak"

	"onepg/internal/config"
	"onepg/internal/fault"
	"onepg/internal/listener"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
	ours "onepg/migrations"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary is a password that no finding may contain.
const canary = "kanarienvogel"

// examined runs all checks on a configured database and gives their findings by
// name.
func examined(t *testing.T, address, listenAddress string, flags ...string) map[string]Finding {
	t.Helper()
	return examine(t, Options{
		Config: settings(t, append(flags, "--database-url="+address)...), Migrations: ours.FS, Clock: time.Now,
		Connect: func(context.Context) (string, string, error) { return address, listenAddress, nil },
	})
}

func examine(t *testing.T, o Options) map[string]Finding {
	t.Helper()
	found := map[string]Finding{}
	for _, f := range Examine(t.Context(), o) {
		if f.Check == "" || f.Found == "" || (f.Advice == "") != (f.Status == OK || f.Status == Skipped) || strings.Contains(fmt.Sprint(f), canary) {
			t.Errorf("not a good finding: %+v", f)
		}
		found[f.Check] = f
	}
	if len(found) != len(machineChecks())+len(databaseChecks()) {
		t.Errorf("%d findings", len(found))
	}
	return found
}

func settings(t *testing.T, flags ...string) *config.Config {
	t.Helper()
	set := pflag.NewFlagSet("app", pflag.ContinueOnError)
	config.Flags(set)
	if err := set.Parse(flags); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(set)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func want(t *testing.T, f Finding, status Status, words ...string) {
	t.Helper()
	if f.Status != status {
		t.Errorf("got %+v, want %s", f, status)
	}
	for _, w := range words {
		if !strings.Contains(f.Found+f.Advice, w) {
			t.Errorf("%q is missing from %+v", w, f)
		}
	}
}

// execute runs SQL as the superuser.
func execute(t *testing.T, address string, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := open(t, address).ExecContext(context.WithoutCancel(t.Context()), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func open(t *testing.T, address string) *bun.DB {
	t.Helper()
	db, err := postgres.Open(context.WithoutCancel(t.Context()), postgres.Options{URL: address, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestAMigratedDatabaseIsWell(t *testing.T) {
	t.Parallel()
	address := pgtest.New(t)
	found := examined(t, address, address)
	want(t, found["connection"], OK, "as role postgres")
	want(t, found["version"], OK, "PostgreSQL 1")
	want(t, found["durability"], Failed, "off: fsync, full_page_writes, synchronous_commit") // as the tests' server has it
	want(t, found["migrations"], OK, "applied")
	want(t, found["rights"], Warning, "superuser")
	want(t, found["clock"], OK)
	want(t, found["pooler"], OK)
	want(t, found["listen"], OK, "arrived")
	want(t, found["binaries"], Skipped)
	want(t, found["disk"], Skipped)
	want(t, judgeDurability(nil), OK)
}

func TestWithoutAConnectionTheRestIsSkipped(t *testing.T) {
	t.Parallel()
	address := "postgres://u:" + canary + "@127.0.0.1:1/db?connect_timeout=2"
	found := examined(t, address, address)
	want(t, found["connection"], Failed, "127.0.0.1:1", "APP_DATABASE_URL")
	for _, c := range databaseChecks() {
		want(t, found[c.name], Skipped)
	}
	found = examine(t, Options{
		Config: settings(t), Migrations: ours.FS, Clock: time.Now,
		Connect: func(context.Context) (string, string, error) {
			return "", "", fault.New(fault.Unavailable, "postgres-missing", "Install it.")
		},
	})
	want(t, found["connection"], Failed, "Install it.")
}

func TestMigrationsThatAreMissingOrUnknownAreFound(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	want(t, examined(t, address, address)["migrations"], Warning, "app migrate up")
	found := examined(t, address, address, "--auto-migrate=false")
	want(t, found["migrations"], Failed, "are not applied")
	want(t, found["rights"], Warning, "superuser") // without the tables too
	address = pgtest.New(t)
	execute(t, address, "INSERT INTO bun_migrations (name, group_id) VALUES ('20991231000000', 9)")
	want(t, examined(t, address, address)["migrations"], Warning, "1 were applied by a newer version")
}

// role makes one for the test and gives the address to connect as it.
func role(t *testing.T, address, options string) (name, as string) {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	name = "doctor" + strings.TrimPrefix(parsed.Path, "/")
	execute(t, address, "CREATE ROLE "+name+" LOGIN "+options)
	t.Cleanup(func() { execute(t, address, "DROP OWNED BY "+name, "DROP ROLE "+name) })
	parsed.User = url.User(name)
	return name, parsed.String()
}

func TestRightsAreNeitherTooFewNorTooMany(t *testing.T) {
	t.Parallel()
	address := pgtest.New(t)
	name, as := role(t, address, "")
	want(t, examined(t, as, as)["rights"], Failed, "lacks SELECT on api_keys, UPDATE on api_keys, EXECUTE on append_events, ", " more", "GRANT onepg_server TO "+name)
	execute(t, address, "GRANT onepg_server TO "+name)
	want(t, examined(t, as, as)["rights"], OK, "not change it")
	// A view of a domain that came later, whose migration forgot to grant.
	execute(t, address, "CREATE TABLE orders ()", "SELECT grant_view('orders')", "REVOKE DELETE ON orders FROM onepg_server")
	want(t, examined(t, as, as)["rights"], Failed, "lacks DELETE on orders")
	execute(t, address, "SELECT grant_server_rights()")
	want(t, examined(t, as, as)["rights"], OK, "not change it")
	for right, where := range map[string]string{
		"EXECUTE": "FUNCTION import_events", "CREATE": "SCHEMA public", "UPDATE (hash)": "event_seals", "UPDATE": "api_keys", "INSERT": "event_types", "TRUNCATE": "users", "TRIGGER": "event_log_head",
	} {
		execute(t, address, "GRANT "+right+" ON "+where+" TO "+name)
		privilege, _, _ := strings.Cut(right, " ")
		want(t, examined(t, as, as)["rights"], Warning, privilege+" on "+strings.ReplaceAll(strings.TrimPrefix(where, "FUNCTION "), "SCHEMA", "schema"))
		execute(t, address, "REVOKE "+right+" ON "+where+" FROM "+name)
	}
	execute(t, address, "GRANT DELETE ON events TO "+name, "ALTER ROLE "+name+" CREATEROLE")
	want(t, examined(t, as, as)["rights"], Warning, "CREATEROLE, DELETE on events", "role of its own")
	execute(t, address, "ALTER TABLE events OWNER TO "+name)
	want(t, examined(t, as, as)["rights"], Warning, "ownership of events")
	execute(t, address, "ALTER TABLE events OWNER TO postgres")
	want(t, privileges{Owner: true}.judge(false), Warning, "Make the role")
	want(t, privileges{Missing: strings.Fields("a b c d e f g h i j")}.judge(false), Failed, "a, b, c, d, e, f, g, h and 2 more")
}

func TestAClockThatIsOffIsFound(t *testing.T) {
	t.Parallel()
	address := pgtest.New(t)
	found := examine(t, Options{
		Config: settings(t, "--database-url="+address), Migrations: ours.FS,
		Clock:   func() time.Time { return time.Now().Add(-time.Hour) },
		Connect: func(context.Context) (string, string, error) { return address, address, nil },
	})
	want(t, found["clock"], Warning, "off from this machine", "NTP")
}

func TestListeningElsewhereIsFound(t *testing.T) {
	t.Parallel()
	address := pgtest.New(t)
	want(t, examined(t, address, pgtest.Empty(t))["listen"], Failed, "the same database")
	want(t, examined(t, address, "postgres://u:"+canary+"@127.0.0.1:1/db")["listen"], Failed, "APP_LISTEN_URL")
	want(t, notListening(listener.Polling), Warning, "APP_LISTEN_URL")
	want(t, notListening(listener.Down), Failed, "straight to the server")
}

func TestASharedConnectionIsAPooler(t *testing.T) {
	t.Parallel()
	want(t, judgePooler(false, true), OK)
	want(t, judgePooler(true, true), Warning, "APP_LISTEN_URL", "ALTER ROLE")
	want(t, judgePooler(true, false), OK, "another address")
}

func TestTheMachineOfTheEmbeddedServerIsLookedAt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	p := &patient{Options: Options{Config: settings(t, "--data-dir="+dir)}}
	want(t, binaries(t.Context(), p), OK, "PostgreSQL 1")
	if f := disk(t.Context(), p); !strings.Contains(f.Found, "MiB free") {
		t.Errorf("%+v", f)
	}
	p.Config = settings(t, "--pg-bindir="+t.TempDir())
	want(t, binaries(t.Context(), p), Failed, "APP_PG_BINDIR")
	want(t, judgeSpace("/", 100<<20-1), Failed, "99 MiB")
	want(t, judgeSpace("/", 100<<20), Warning)
	want(t, judgeSpace("/", 1<<30), OK)
	want(t, privileges{Role: "postgres", Powers: []string{"superuser"}}.judge(true), OK, "private")
}
