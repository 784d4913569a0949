package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestURLsShowEverythingButTheirPasswords(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ raw, want string }{
		"password":           {"postgres://u:" + canary + "@h:5432/db?sslmode=disable", "postgres://u:xxxxx@h:5432/db?sslmode=disable"},
		"password with @":    {"postgres://u:p@" + canary + "@h/db", "postgres://u:xxxxx@h/db"},
		"password with :":    {"postgresql://u:p:" + canary + "@h/db", "postgresql://u:xxxxx@h/db"},
		"none":               {"postgres://u@h/db", "postgres://u@h/db"},
		"socket":             {"postgres:///db?host=/run/postgresql&user=u", "postgres:///db?host=/run/postgresql&user=u"},
		"socket as the host": {"postgres://%2Frun%2Fpostgresql/db", "postgres://%2Frun%2Fpostgresql/db"},
		"parameter":          {"postgres:///db?host=/run&password=" + canary, "postgres:///db?host=/run&password=xxxxx"},
		"escaped parameter":  {"postgres:///db?p%61ssword=" + canary, "postgres:///db?p%61ssword=xxxxx"},
		"key's password":     {"postgres://h/db?sslpassword=" + canary, "postgres://h/db?sslpassword=xxxxx"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := resolve(t, given{args: []string{"--database-url", test.raw}})
			if err != nil {
				t.Fatal(err)
			}
			u := c.Database.URL
			if u.String() != test.want || shown(t, c, "APP_DATABASE_URL").Value != test.want {
				t.Errorf("shown as %s, want %s", u, test.want)
			}
			if u.Reveal() != test.raw {
				t.Error("the driver does not get it as it was set")
			}
		})
	}
}

func TestNoVerbAndNoNestingShowsThePassword(t *testing.T) {
	t.Parallel()
	c, err := resolve(t, given{args: []string{"--database-url", "postgres://u:" + canary + "@h/db"}})
	if err != nil {
		t.Fatal(err)
	}
	type hidden struct{ inner URL }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		text := fmt.Sprintf(verb+verb+verb, c.Database.URL, hidden{c.Database.URL}, &c.Database)
		if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
			t.Errorf("%s shows %s", verb, text)
		}
	}
}
