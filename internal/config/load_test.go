package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"onepg/internal/fault"
)

// canary is a password that must never be printed.
const canary = "kanarienvogel"

var update = flag.Bool("update", false, "write .env.example from the table")

// given is what one test puts into each source.
type given struct {
	args   []string
	env    map[string]string
	dotenv string
}

// resolve loads the settings from exactly the given sources.
func resolve(t *testing.T, g given) (*Config, error) {
	t.Helper()
	environ := []string{"HOME=/nowhere"}
	for key, value := range g.env {
		environ = append(environ, key+"="+value)
	}
	path := filepath.Join(t.TempDir(), ".env")
	if g.dotenv != "" {
		if err := os.WriteFile(path, []byte(g.dotenv), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return load(parse(t, g.args), environ, path)
}

func parse(t *testing.T, args []string) *pflag.FlagSet {
	t.Helper()
	flags := pflag.NewFlagSet("app", pflag.ContinueOnError)
	Flags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags
}

func shown(t *testing.T, c *Config, key string) Setting {
	t.Helper()
	for _, s := range c.Settings() {
		if s.Key == key {
			return s
		}
	}
	t.Fatalf("no setting %s", key)
	return Setting{}
}

func TestTheStrongestSourceWins(t *testing.T) {
	t.Parallel()
	const file = "APP_POOL_SIZE=3\n"
	env := map[string]string{"APP_POOL_SIZE": "4"}
	args := []string{"--pool-size=5"}
	tests := map[string]struct {
		given  given
		want   int
		source Source
	}{
		"nothing set":                  {given{}, 10, FromDefault},
		"the file over the default":    {given{dotenv: file}, 3, FromFile},
		"the environment over a file":  {given{dotenv: file, env: env}, 4, FromEnvironment},
		"a flag over all":              {given{dotenv: file, env: env, args: args}, 5, FromFlag},
		"a flag over the environment":  {given{env: env, args: args}, 5, FromFlag},
		"a flag over a file":           {given{dotenv: file, args: args}, 5, FromFlag},
		"a flag equal to the default":  {given{env: env, args: []string{"--pool-size=10"}}, 10, FromFlag},
		"the environment over default": {given{env: env}, 4, FromEnvironment},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := resolve(t, test.given)
			if err != nil {
				t.Fatal(err)
			}
			if got := shown(t, c, "APP_POOL_SIZE").Source; c.Database.PoolSize != test.want || got != test.source {
				t.Errorf("pool size %d from %s, want %d from %s", c.Database.PoolSize, got, test.want, test.source)
			}
		})
	}
}

func TestDefaultsAreTheDocumentedLimits(t *testing.T) {
	t.Parallel()
	c, err := resolve(t, given{})
	if err != nil {
		t.Fatal(err)
	}
	wantLimits := Limits{
		BodyBytes: 1 << 20, PayloadBytes: 256 << 10, BatchEvents: 1000, JSONDepth: 32, HeaderBytes: 16 << 10,
		HeaderTimeout: 5 * time.Second, BodyTimeout: 15 * time.Second,
		AnswerTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		StreamClients: 1000, StreamBuffer: 256, StreamHeartbeat: 15 * time.Second,
	}
	if diff := cmp.Diff(wantLimits, c.Limits); diff != "" {
		t.Error(diff)
	}
	wantDatabase := Database{
		DataDir: ".data", AutoMigrate: true, PoolSize: 10, PoolWait: 2 * time.Second,
		StatementTimeout: 5 * time.Second, LockTimeout: 2 * time.Second, IdleInTransactionTimeout: 10 * time.Second,
	}
	if c.Database != wantDatabase {
		t.Errorf("database %+v, want %+v", c.Database, wantDatabase)
	}
	if c.Addr != "127.0.0.1:8080" || c.Auth != AuthNone || c.Log.Level != slog.LevelInfo ||
		c.PollInterval != time.Second || c.ShutdownTimeout != 10*time.Second {
		t.Errorf("%+v", c)
	}
}

func TestAnEmptyVariableTurnsOffWhatTheFileSays(t *testing.T) {
	t.Parallel()
	c, err := resolve(t, given{
		dotenv: "APP_DATABASE_URL=postgres://h/db\n",
		env:    map[string]string{"APP_DATABASE_URL": ""},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Database.URL.Empty() {
		t.Errorf("still %s", c.Database.URL)
	}
}

func TestTheListenerUsesTheDatabaseUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	socket := "postgres:///db?host=/run/postgresql"
	c, err := resolve(t, given{env: map[string]string{"APP_DATABASE_URL": socket}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Database.URL.Reveal() != socket || c.Database.ListenURL.Reveal() != socket {
		t.Errorf("database %s, listener %s", c.Database.URL, c.Database.ListenURL)
	}
	if listen := shown(t, c, "APP_LISTEN_URL").Value; listen != "" {
		t.Errorf("listener shown as %s although nobody set it", listen)
	}
}

func TestMistakesAreRefusedWithTheirPlaceAndTheRemedy(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		given given
		want  []string
	}{
		"typo in the environment": {
			given{env: map[string]string{"APP_ADRR": "x"}},
			[]string{"APP_ADRR (environment) is no setting; did you mean APP_ADDR?"},
		},
		"typo in the file": {
			given{dotenv: "APP_POLL_SIZE=3"},
			[]string{"APP_POLL_SIZE (.env) is no setting; did you mean APP_POOL_SIZE?"},
		},
		"all mistakes at once": {
			given{env: map[string]string{"APP_POOL_SIZE": "ten"}, dotenv: "APP_LOG_LEVEL=loud", args: []string{"--idle-timeout=5"}},
			[]string{
				`APP_POOL_SIZE (environment) must be a whole number from 1 to 1000, not "ten"`,
				`APP_LOG_LEVEL (.env) must be debug, info, warn or error, not "loud"`,
				`--idle-timeout must be a time with its unit`,
			},
		},
		"an empty number":       {given{env: map[string]string{"APP_POOL_SIZE": ""}}, []string{"APP_POOL_SIZE (environment) must be a whole number"}},
		"a timeout of zero":     {given{args: []string{"--lock-timeout=0s"}}, []string{"--lock-timeout must be a time"}},
		"a rounded-off timeout": {given{args: []string{"--lock-timeout=500us"}}, []string{"--lock-timeout must be a time"}},
		"an unknown auth":       {given{args: []string{"--auth=key"}}, []string{`--auth must be none, keys or jwt, not "key"`}},
		"an unknown format":     {given{args: []string{"--log-format=xml"}}, []string{"--log-format must be text or json"}},
		"an empty data folder":  {given{args: []string{"--data-dir="}}, []string{"--data-dir must not be empty"}},
		"not a boolean":         {given{args: []string{"--auto-migrate=maybe"}}, []string{"--auto-migrate must be true or false"}},
		"a port alone":          {given{args: []string{"--addr=8080"}}, []string{"--addr must be host:port"}},
		"a port too high":       {given{args: []string{"--addr=127.0.0.1:65536"}}, []string{"--addr must be host:port"}},
		"all interfaces":        {given{args: []string{"--addr=:8080"}}, []string{`--addr is ":8080", but with APP_AUTH=none`}},
		"a public address":      {given{env: map[string]string{"APP_ADDR": "192.0.2.1:80"}}, []string{"APP_ADDR (environment) is", "use a loopback address"}},
		"a resolvable name":     {given{args: []string{"--addr=localhost.example:80"}}, []string{"with APP_AUTH=none"}},
		"public operations":     {given{args: []string{"--ops-addr=0.0.0.0:9090"}}, []string{`--ops-addr is "0.0.0.0:9090", but with APP_AUTH=none`}},
		"a listener alone":      {given{args: []string{"--listen-url=postgres://h/db"}}, []string{"--listen-url is set and APP_DATABASE_URL is not"}},
		"not PostgreSQL":        {given{args: []string{"--database-url=mysql://h/db"}}, []string{"--database-url must look like postgres://"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := resolve(t, test.given)
			if !fault.Is(err, CodeInvalid) {
				t.Fatalf("got %v, want %s", err, CodeInvalid)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing from:\n%v", want, err)
				}
			}
		})
	}
}

func TestLoopbackAddressesAreAccepted(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1:0", "127.8.8.8:80", "[::1]:8080", "[::ffff:127.0.0.1]:80", "localhost:8080"} {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			if _, err := resolve(t, given{args: []string{"--addr", addr}}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTheVariablesOfNeighboursAreNotedAndIgnored(t *testing.T) {
	t.Parallel()
	neighbours := map[string]string{
		"APP_ENV": "production", "APP_NAME": "shop", "APP_VERSION": "1", "APP_PORT": "tcp://10.0.0.7:80", "APP_SERVICE_HOST": "10.0.0.7",
		"APP_SERVICE_PORT_HTTP": "80", "APP_PORT_80_TCP": "tcp://10.0.0.7:80", "APP_WEB_PORT_80_TCP_ADDR": "10.0.0.7",
	}
	c, err := resolve(t, given{env: neighbours})
	if err != nil {
		t.Fatal(err)
	}
	if want := slices.Sorted(maps.Keys(neighbours)); !slices.Equal(c.Ignored, want) {
		t.Errorf("ignored %v, want %v", c.Ignored, want)
	}
	if _, err := resolve(t, given{dotenv: "APP_ENV=production"}); err == nil {
		t.Error("the file is ours alone and APP_ENV in it is taken")
	}
}

func TestSecretsAreNeverRepeated(t *testing.T) {
	t.Parallel()
	broken := map[string]given{
		"wrong scheme":            {env: map[string]string{"APP_DATABASE_URL": "mysql://u:" + canary + "@h/db"}},
		"unescaped slash":         {env: map[string]string{"APP_DATABASE_URL": "postgres://u:1/" + canary + "@h/db"}},
		"unescaped hash":          {env: map[string]string{"APP_DATABASE_URL": "postgres://u:1#" + canary + "@h/db"}},
		"unescaped question mark": {env: map[string]string{"APP_LISTEN_URL": "postgres://u:1?" + canary + "@h/db"}},
		"typo in the name":        {env: map[string]string{"APP_DATABASE_ULR": "postgres://u:" + canary + "@h/db"}},
		"line without =":          {dotenv: "APP_DATABASE_URL postgres://u:" + canary + "@h/db"},
		"open quote":              {dotenv: `APP_DATABASE_URL="postgres://u:` + canary + `@h/db`},
		"unknown escape":          {dotenv: `APP_DATABASE_URL="postgres://u:\q` + canary + `@h/db"`},
		"text after the quote":    {dotenv: `APP_DATABASE_URL="postgres://u:a"` + canary + `@h/db`},
	}
	for name, g := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := resolve(t, g)
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the password is in the error:\n%v", err)
			}
		})
	}
	t.Run("valid", func(t *testing.T) {
		t.Parallel()
		c, err := resolve(t, given{dotenv: "APP_DATABASE_URL='postgres://u:" + canary + "@h/db'"})
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var logged strings.Builder
		Log{}.Logger(&logged).Info("settings", slog.Any("config", c), slog.Any("url", c.Database.URL))
		for _, text := range []string{string(encoded), fmt.Sprintf("%v %+v %#v", c, c, c.Settings()), logged.String()} {
			if strings.Contains(text, canary) {
				t.Errorf("the password is in %s", text)
			}
		}
		if !strings.Contains(c.Database.URL.Reveal(), canary) {
			t.Error("the driver does not get the password")
		}
	})
}

func TestTheExampleFileIsTheTable(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", ".env.example")
	if *update {
		if err := os.WriteFile(path, []byte(Example()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Example(), string(file)); diff != "" {
		t.Errorf(".env.example differs from the table (-table +file); `make generate` writes it:\n%s", diff)
	}
}

func TestTheExampleFileChangesNothing(t *testing.T) {
	t.Parallel()
	plain, err := resolve(t, given{})
	if err != nil {
		t.Fatal(err)
	}
	copied, err := resolve(t, given{dotenv: Example()})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range copied.Settings() {
		if s.Source != FromFile || s.Value != plain.Settings()[i].Value {
			t.Errorf("%s is %q from %s, want %q", s.Key, s.Value, s.Source, plain.Settings()[i].Value)
		}
	}
}
