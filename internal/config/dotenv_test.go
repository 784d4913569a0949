package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onepg/internal/fault"
)

func TestDotenvValuesMeanWhatIsWritten(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ line, want string }{
		"bare":                {`APP_DATA_DIR=/srv/data`, "/srv/data"},
		"spaces around":       {"  APP_DATA_DIR =  /srv/data  \r", "/srv/data"},
		"export":              {`export APP_DATA_DIR=/srv/data`, "/srv/data"},
		"comment behind":      {`APP_DATA_DIR=/srv/data # here`, "/srv/data"},
		"hash inside":         {`APP_DATA_DIR=/srv/da#ta`, "/srv/da#ta"},
		"dollar inside":       {`APP_DATA_DIR=/srv/$HOME`, "/srv/$HOME"},
		"equals inside":       {`APP_DATA_DIR=a=b`, "a=b"},
		"single quotes":       {`APP_DATA_DIR='a "b" \n # c'`, `a "b" \n # c`},
		"double quotes":       {`APP_DATA_DIR="a \"b\" # c" # d`, `a "b" # c`},
		"comment before":      {"# hello\n\nAPP_DATA_DIR=x", "x"},
		"somebody else's too": {"POSTGRES_PASSWORD=p\nAPP_DATA_DIR=x", "x"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := resolve(t, given{dotenv: test.line})
			if err != nil {
				t.Fatal(err)
			}
			if c.Database.DataDir != test.want {
				t.Errorf("got %q, want %q", c.Database.DataDir, test.want)
			}
		})
	}
}

func TestABrokenDotenvNamesTheLine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ content, want string }{
		"no assignment": {"APP_ADDR=127.0.0.1:1\nAPP_AUTH none", ".env line 2: write it as NAME=value"},
		"open quote":    {`APP_DATA_DIR='x`, ".env line 1: a quote is not closed"},
		"after a quote": {`APP_DATA_DIR='x'y`, ".env line 1: something follows the closing quote"},
		"bad escape":    {`APP_DATA_DIR="\q"`, ".env line 1: the quoted value has an unknown escape"},
		"set twice":     {"APP_DATA_DIR=x\nAPP_DATA_DIR=y", ".env line 2: APP_DATA_DIR was set before"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := resolve(t, given{dotenv: test.content})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestADotenvThatCannotBeReadIsNotTakenForAMissingOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), ".env")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := load(parse(t, nil), nil, path); !fault.Is(err, CodeInvalid) {
		t.Errorf("got %v, want %s", err, CodeInvalid)
	}
}
