package cmd

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"onepg/internal/auth"
	"onepg/internal/config"
	"onepg/internal/fault"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// keysRunner runs "app keys" on a fresh database; errs gets standard error.
func keysRunner(t *testing.T) func(args ...string) (out, errs string, err error) {
	t.Helper()
	address := pgtest.New(t)
	deps := keyringDeps()
	deps.open = func(c *cobra.Command) (*auth.Keys, func() error, error) {
		db, err := postgres.Open(c.Context(), postgres.Options{URL: address})
		if err != nil {
			return nil, nil, err
		}
		return auth.NewKeys(db, nil), db.Close, nil
	}
	return func(args ...string) (string, string, error) {
		var out, errs bytes.Buffer
		command := newKeys(deps)
		config.Flags(command.PersistentFlags())
		command.SilenceErrors, command.SilenceUsage = true, true
		command.SetOut(&out)
		command.SetErr(&errs)
		command.SetArgs(args)
		err := command.ExecuteContext(t.Context())
		return out.String(), errs.String(), err
	}
}

func TestAKeyIsPrintedOnceAndAlone(t *testing.T) {
	t.Parallel()
	run := keysRunner(t)
	secret, note, err := run("create", "--name", "web", "--scope", "users:write,users:read", "--scope", "views:admin", "--expires-in", "1h")
	if err != nil || !regexp.MustCompile(`^onepg_[A-Z2-7]{26}\n$`).MatchString(secret) || !strings.Contains(note, "web") {
		t.Fatalf("%q %q %v", secret, note, err)
	}
	for _, format := range []string{"table", "json"} {
		list, _, err := run("list", "--output", format)
		if err != nil || strings.Contains(list, strings.TrimSpace(secret)[6:]) || !strings.Contains(list, "web") {
			t.Errorf("%s %v", list, err)
		}
	}
	list, _, _ := run("list", "-o", "json")
	var keys []auth.Key
	if err := json.Unmarshal([]byte(list), &keys); err != nil || len(keys) != 1 || keys[0].ExpiresAt == nil ||
		strings.Join(keys[0].Scopes, " ") != "users:read users:write views:admin" || keys[0].Status != auth.KeyActive {
		t.Errorf("%s %v", list, err)
	}
}

func TestARevokedKeyIsListedAsSuch(t *testing.T) {
	t.Parallel()
	run := keysRunner(t)
	if list, _, err := run("list", "-o", "json"); err != nil || list != "[]\n" {
		t.Errorf("no keys: %q %v", list, err)
	}
	if _, _, err := run("create", "--name", "web", "--scope", "events:read"); err != nil {
		t.Fatal(err)
	}
	if out, _, err := run("revoke", "web"); err != nil || out != "revoked web\n" {
		t.Errorf("%q %v", out, err)
	}
	if list, _, err := run("list"); err != nil || !regexp.MustCompile(`web +revoked +events:read`).MatchString(list) {
		t.Errorf("%s %v", list, err)
	}
	if _, _, err := run("revoke", "nobody"); !fault.Is(err, "key-unknown") {
		t.Errorf("%v", err)
	}
}

func TestAScopeThatNoRouteAsksForIsRefused(t *testing.T) {
	t.Parallel()
	run := keysRunner(t)
	for _, scope := range []string{"user:write", "users:wirte", "*", "users", "nobody:admin", ":admin"} {
		if _, _, err := run("create", "--name", "web", "--scope", "users:read", "--scope", scope); !fault.Is(err, "scope-unknown") {
			t.Errorf("%q: %v", scope, err)
		}
	}
	for _, scope := range []string{"users:admin", "metrics:read", "views:admin", "events:read"} {
		if _, _, err := run("create", "--name", strings.ReplaceAll(scope, ":", "-"), "--scope", scope); err != nil {
			t.Errorf("%q: %v", scope, err)
		}
	}
}

func TestANameThatNoKeyCanHaveIsAMisuseAndATakenOneAFailure(t *testing.T) {
	t.Parallel()
	app := appOn(t, pgtest.New(t))
	create := func(name string, flags ...string) outcome {
		return app(append([]string{"keys", "create", "--scope", "users:read", "--name", name}, flags...)...)
	}
	for _, got := range []outcome{create("Web App"), create("web", "--expires-in", "-1h")} {
		if got.code != exitUsage || got.stdout != "" {
			t.Errorf("%+v", got)
		}
	}
	for _, want := range []int{exitDone, exitFailure} {
		if got := create("web"); got.code != want {
			t.Errorf("%+v, want exit %d", got, want)
		}
	}
}
