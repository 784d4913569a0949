package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"onepg/internal/fault"
)

// CodeInvalid marks an error of [Load]: the settings are wrong, not the
// program or the database.
const CodeInvalid = "invalid-configuration"

// Source is where a setting's value came from.
type Source string

// The sources, strongest first.
const (
	FromFlag        Source = "flag"
	FromEnvironment Source = "environment"
	FromFile        Source = dotenvFile
	FromDefault     Source = "default"
)

// dotenvFile is read from the working directory, where it may be absent.
const dotenvFile = ".env"

// Load resolves every setting from the flags that [Flags] added, the
// environment, .env and the defaults. Its error has the code [CodeInvalid] and
// one line per mistake: what is wrong, where it was set and what would be right.
func Load(flags *pflag.FlagSet) (*Config, error) {
	return load(flags, os.Environ(), dotenvFile)
}

// load is Load with the process's environment and the file's path as arguments.
func load(flags *pflag.FlagSet, environ []string, path string) (*Config, error) {
	file, err := readDotenv(path)
	if err != nil {
		return nil, invalid([]string{err.Error()})
	}
	given := sources{flags: flags, environment: variables(environ), file: file}
	c := new(Config)
	rows := table(c)
	winning, err := given.resolve(rows)
	if err != nil {
		return nil, err
	}
	mistakes := c.strangers(rows, given)
	for _, row := range rows {
		text, from := winning.GetString(row.key), given.source(row.key)
		if err := row.value.set(text); err != nil {
			mistakes = append(mistakes, origin(row.key, from)+" "+err.Error()+row.shown(text))
		}
		c.settings = append(c.settings, Setting{Key: row.key, Value: row.value.masked(), Source: from})
	}
	if len(mistakes) == 0 {
		mistakes = contradictions(c)
	}
	if len(mistakes) > 0 {
		return nil, invalid(mistakes)
	}
	if c.Database.ListenURL.Empty() {
		c.Database.ListenURL = c.Database.URL
	}
	return c, nil
}

// strangers gives the names that are no setting and were probably meant to be one,
// and notes those that are ignored. The file is ours alone, the environment is not.
func (c *Config) strangers(rows []setting, given sources) []string {
	keys := make([]string, len(rows))
	for i, row := range rows {
		keys[i] = row.key
	}
	var mistakes []string
	for _, key := range unknownKeys(keys, given.environment) {
		if isTypo(key, keys) {
			mistakes = append(mistakes, typo(key, FromEnvironment, keys))
		} else {
			c.Ignored = append(c.Ignored, key)
		}
	}
	for _, key := range unknownKeys(keys, given.file) {
		mistakes = append(mistakes, typo(key, FromFile, keys))
	}
	return mistakes
}

// sources is where a value may come from, apart from the defaults.
type sources struct {
	flags             *pflag.FlagSet
	environment, file map[string]string
}

// resolve lays the sources over each other. An empty variable counts as set,
// so `APP_DATABASE_URL= app run` turns off what .env says.
//
// Why the environment is merged rather than bound: viper would read it from the
// process, which tests that run side by side share.
func (s sources) resolve(rows []setting) (*viper.Viper, error) {
	v := viper.New()
	for _, row := range rows {
		v.SetDefault(row.key, row.preset)
		if err := v.BindPFlag(row.key, s.flags.Lookup(flagName(row.key))); err != nil {
			return nil, fmt.Errorf("bind the flag of %s: %w", row.key, err)
		}
	}
	for _, layer := range []map[string]string{s.file, s.environment} {
		known := make(map[string]any, len(rows))
		for _, row := range rows {
			if text, ok := layer[row.key]; ok {
				known[row.key] = text
			}
		}
		if err := v.MergeConfigMap(known); err != nil {
			return nil, fmt.Errorf("merge the settings: %w", err)
		}
	}
	return v, nil
}

// source tells which layer has a key's value; viper does not.
func (s sources) source(key string) Source {
	if s.flags.Changed(flagName(key)) {
		return FromFlag
	}
	if _, ok := s.environment[key]; ok {
		return FromEnvironment
	}
	if _, ok := s.file[key]; ok {
		return FromFile
	}
	return FromDefault
}

// origin says which setting is meant and where to change it.
func origin(key string, from Source) string {
	if from == FromFlag {
		return "--" + flagName(key)
	}
	return key + " (" + string(from) + ")"
}

// shown repeats what was given, unless it could hold a secret.
func (s setting) shown(text string) string {
	if s.value.secret() {
		return ""
	}
	return fmt.Sprintf(", not %q", text)
}

// contradictions lists settings that are right alone and wrong together.
func contradictions(c *Config) []string {
	var mistakes []string
	if c.Auth == AuthNone {
		mistakes = append(mistakes, c.exposed("APP_ADDR", c.Addr)...)
		mistakes = append(mistakes, c.exposed("APP_OPS_ADDR", c.OpsAddr)...)
	}
	if c.Auth == AuthTokens {
		mistakes = append(mistakes, c.missing("APP_JWT_KEYS", "APP_JWT_ISSUER", "APP_JWT_AUDIENCE")...)
	}
	if !c.Database.ListenURL.Empty() && c.Database.URL.Empty() {
		mistakes = append(mistakes, c.origin("APP_LISTEN_URL")+" is set and APP_DATABASE_URL is not; "+
			"set both, to the same database")
	}
	return mistakes
}

// exposed complains about an address that other machines may reach.
func (c *Config) exposed(key, addr string) []string {
	if addr == "" || isLoopback(addr) {
		return nil
	}
	return []string{fmt.Sprintf("%s is %q, but with APP_AUTH=none everybody who reaches it may read and write "+
		"everything; use a loopback address such as 127.0.0.1:8080", c.origin(key), addr)}
}

// missing complains about settings without which tokens cannot be judged. Why
// none of them has a default: a token made for another service must not open
// this one.
func (c *Config) missing(keys ...string) []string {
	var mistakes []string
	for _, s := range c.settings {
		if slices.Contains(keys, s.Key) && s.Value == "" {
			mistakes = append(mistakes, origin(s.Key, s.Source)+" is empty, and APP_AUTH=jwt needs it")
		}
	}
	return mistakes
}

// origin names a resolved setting with the place it came from.
func (c *Config) origin(key string) string {
	for _, s := range c.settings {
		if s.Key == key {
			return origin(key, s.Source)
		}
	}
	return key
}

// isLoopback trusts addresses and the name localhost, which RFC 6761 reserves
// for loopback. Any other name could resolve to something public tomorrow.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.Unmap().IsLoopback())
}

func invalid(mistakes []string) error {
	return fault.New(fault.Invalid, CodeInvalid, "The settings cannot be used:\n  "+
		strings.Join(mistakes, "\n  ")+"\n\"app --help\" explains every setting.")
}
