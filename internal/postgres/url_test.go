package postgres_test

import (
	"maps"
	"os/user"
	"strings"
	"testing"

	"onepg/internal/fault"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

func TestEveryURLFormIsUnderstood(t *testing.T) {
	t.Parallel()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"postgres://u:p@db.example.com:6432/app":            "tcp db.example.com:6432 u:p app",
		"postgresql://u@db.example.com/app":                 "tcp db.example.com:5432 u: app",
		"postgres://u:p%40s%2Fs@[::1]/app":                  "tcp [::1]:5432 u:p@s/s app",
		"postgres://u:p@h/a%20b":                            "tcp h:5432 u:p a b",
		"postgres://u@h":                                    "tcp h:5432 u: u",
		"postgres:///app":                                   "tcp localhost:5432 " + me.Username + ": app",
		"postgres:///app?host=/dir":                         "unix /dir/.s.PGSQL.5432 " + me.Username + ": app",
		"postgres:///app?host=/dir&port=5433&user=u":        "unix /dir/.s.PGSQL.5433 u: app",
		"postgres:///?host=/dir&user=u&password=p&dbname=d": "unix /dir/.s.PGSQL.5432 u:p d",
		"postgres://u:p@/app?host=/dir":                     "unix /dir/.s.PGSQL.5432 u:p app",
		"postgres://u@/app?host=/dir/.s.PGSQL.7":            "unix /dir/.s.PGSQL.7 u: app",
		"postgres://u@ignored:1/app?host=h&port=2":          "tcp h:2 u: app",
		"postgres://user@%2Frun%2Fpostgresql/db":            "unix /run/postgresql/.s.PGSQL.5432 user: db",
		"postgres://user:p@%2frun:5433/db?sslmode=require":  "unix /run/.s.PGSQL.5433 user:p db",
		"postgres://%2Frun":                                 "unix /run/.s.PGSQL.5432 " + me.Username + ": " + me.Username,
		"unix://u:p@app/dir/.s.PGSQL.5432":                  "unix /dir/.s.PGSQL.5432 u:p app",
	} {
		conf, _, err := postgres.Parsed(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		got := strings.Join([]string{conf.Network, conf.Addr, conf.User + ":" + conf.Password, conf.Database}, " ")
		if got != want {
			t.Errorf("%s\n got %s\nwant %s", url, got, want)
		}
	}
}

func TestParametersOfAURLThatAreNotAboutConnectingBecomeSettings(t *testing.T) {
	t.Parallel()
	conf, settings, err := postgres.Parsed("postgres://u@h/d?application_name=x&connect_timeout=3&sslmode=disable&gssencmode=disable" +
		"&search_path=app,public&work_mem=8MB")
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(settings, map[string]string{"search_path": "app,public", "work_mem": "8MB"}) {
		t.Errorf("settings %v", settings)
	}
	if conf.AppName != "x" || conf.DialTimeout.Seconds() != 3 {
		t.Errorf("application_name %q, timeout %s", conf.AppName, conf.DialTimeout)
	}
}

func TestAURLThatCannotBeUsedIsExplainedWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "canary", "mysql://u:canary@h/d", "postgres://u:canary@h:port/d", "postgres://u:can%zzcanary@h/d",
		"postgres://u:canary @h/d", "postgres://u:canary@h1,h2/d", "postgres://u:canary@h/d?sslmode=canary2",
		"postgres://u:canary@h/d?channel_binding=require", "postgres://u:canary@h/d?sslrootcert=/no/such/file",
		"postgres://u:canary@h/d?x=%zz", "postgres://u:canary@h/d?connect_timeout=soon", "canary://u:canary@h/d",
		"postgres://h/d?password=canary&sslmode=wrong",
	} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: url})
		if !fault.Is(err, "database-url-invalid") {
			t.Errorf("%s: got %v", url, err)
		}
		if err != nil && strings.Contains(strings.ReplaceAll(err.Error(), "canary2", ""), "canary") {
			t.Errorf("%s: the error tells the secret: %v", url, err)
		}
	}
}

func TestAFailureToConnectNamesHostAndDatabaseOnly(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"nobody listens":  "postgres://u:canary@127.0.0.1:1/somewhere",
		"no such socket":  "postgres://u:canary@/somewhere?host=" + t.TempDir(),
		"unknown host":    "postgres://u:canary@nowhere.invalid/somewhere",
		"wrong parameter": pgtest.Empty(t) + "&no_such_setting=1",
	} {
		_, err := postgres.Open(t.Context(), postgres.Options{URL: url})
		wantUnavailable(t, err)
		if postgres.OutcomeUnknown(err) {
			t.Errorf("%s: nothing was sent", name)
		}
		text := err.Error()
		if strings.Contains(text, "canary") || !strings.Contains(text, "PostgreSQL at ") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestAConnectionWhoseSettingsAreRefusedIsClosed(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	db := open(t, postgres.Options{URL: url})
	if _, err := postgres.Open(t.Context(), postgres.Options{
		URL: url, AppName: "refused", Settings: map[string]string{"no_such_setting": "1"},
	}); postgres.SQLState(err) != "42704" {
		t.Fatalf("got %v", err)
	}
	eventually(t, "the session is gone", func() bool {
		return value(t, db, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'refused' AND datname = current_database()") == "0"
	})
}
