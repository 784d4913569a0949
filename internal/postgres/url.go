package postgres

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"os/user"
	"path"
	"strings"

	"github.com/uptrace/bun/driver/pgdriver"

	"onepg/internal/fault"
)

const defaultPort = "5432"

// endpoint is a parsed URL: where to connect, as whom, and how to protect the
// connection.
type endpoint struct {
	conf *pgdriver.Config
	// tls protects the connection; nil is plain text.
	tls *tls.Config
	// tlsOptional goes on in plain text when the server offers no TLS.
	tlsOptional bool
	// settings are the session settings among the URL's parameters.
	settings map[string]string
}

// String names the endpoint for people, without user or password.
func (e *endpoint) String() string {
	return fmt.Sprintf("PostgreSQL at %s, database %q", e.conf.Addr, e.conf.Database)
}

// parseURL reads the URL forms named at [Options]. Its errors quote nothing
// but parameter names, hosts and file names: a mistyped URL is where a password
// ends up in the wrong place.
func parseURL(raw string) (*endpoint, error) {
	raw, socketDir := cutSocketDir(raw)
	u, err := url.Parse(raw)
	if err != nil {
		return nil, badURL("It cannot be parsed; special characters in user and password must be percent-encoded")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, badURL("Its parameters cannot be parsed")
	}
	p := params(query)
	if socketDir != "" {
		p.setDefault("host", socketDir)
	}
	if err := p.takeAuthority(u); err != nil {
		return nil, err
	}
	return p.endpoint()
}

func badURL(why string) error {
	return fault.New(fault.Invalid, "database-url-invalid",
		"The database URL is not usable. "+why+". A URL looks like postgres://user:password@host:5432/database.")
}

// cutSocketDir takes a percent-encoded directory out of the host's place, where
// libpq allows it and net/url does not.
func cutSocketDir(raw string) (rest, dir string) {
	scheme, after, ok := strings.Cut(raw, "://")
	if !ok {
		return raw, ""
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	at := strings.LastIndex(after[:end], "@") + 1
	host, port, hasPort := strings.Cut(after[at:end], ":")
	dir, err := url.PathUnescape(host)
	if err != nil || !strings.HasPrefix(dir, "/") {
		return raw, ""
	}
	if hasPort {
		port = ":" + port
	}
	return scheme + "://" + after[:at] + port + after[end:], dir
}

// params are a URL's parameters under libpq's names.
type params map[string][]string

// take removes a parameter and returns its last value.
func (p params) take(name string) string {
	values := p[name]
	delete(p, name)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// setDefault gives a parameter the value unless the query string did: as in
// libpq, it is the query string that wins.
func (p params) setDefault(name, value string) {
	if len(p[name]) == 0 && value != "" {
		p[name] = []string{value}
	}
}

// takeAuthority adds what the URL says before its parameters.
func (p params) takeAuthority(u *url.URL) error {
	switch u.Scheme {
	case "postgres", "postgresql":
		p.setDefault("host", u.Hostname())
		p.setDefault("port", u.Port())
		p.setDefault("dbname", strings.TrimPrefix(u.Path, "/"))
	case "unix": // pgdriver's own form: the database stands in the host's place
		p.setDefault("host", u.Path)
		p.setDefault("dbname", u.Host)
	default:
		return badURL("It must begin with postgres:// or postgresql://")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		p.setDefault("user", u.User.Username())
		p.setDefault("password", password)
	}
	return nil
}

// endpoint consumes p: what is not about connecting is left as a session
// setting, which the server checks.
func (p params) endpoint() (*endpoint, error) {
	network, addr, err := p.takeAddress()
	if err != nil {
		return nil, err
	}
	p.setDefault("user", systemUser())
	userName, password := p.take("user"), p.take("password")
	p.setDefault("dbname", userName)
	e := &endpoint{settings: map[string]string{}}
	if err := p.takeTransport(e, network, addr); err != nil {
		return nil, err
	}
	e.conf.Network, e.conf.Addr = network, addr
	e.conf.User, e.conf.Password = userName, password
	e.conf.Database = p.take("dbname")
	e.conf.AppName = p.take("application_name")
	p.dropIgnored()
	for name := range p {
		e.settings[name] = p.take(name)
	}
	return e, nil
}

func (p params) takeAddress() (network, addr string, err error) {
	p.setDefault("host", "localhost")
	p.setDefault("port", defaultPort)
	host, port := p.take("host"), p.take("port")
	switch {
	case strings.Contains(host, ","):
		return "", "", badURL("It names several hosts; one is supported")
	case !strings.HasPrefix(host, "/"):
		return "tcp", net.JoinHostPort(host, port), nil
	case strings.HasPrefix(path.Base(host), ".s.PGSQL."):
		return "unix", host, nil
	default:
		return "unix", path.Join(host, ".s.PGSQL."+port), nil
	}
}

// takeTransport reads the parameters of TLS and the connect timeout. pgdriver
// knows their meaning, so it gets a URL with nothing else in it.
func (p params) takeTransport(e *endpoint, network, addr string) error {
	mode := p.take("sslmode")
	if p.take("channel_binding") == "require" {
		return badURL("It asks for channel_binding=require, which is not supported")
	}
	transport := url.Values{}
	for _, name := range []string{"sslrootcert", "sslcert", "sslkey", "connect_timeout"} {
		if value := p.take(name); value != "" {
			transport.Set(name, value)
		}
	}
	if network == "unix" {
		mode, addr = "disable", "localhost"
	}
	if mode == "" {
		mode = "prefer"
	}
	transport.Set("sslmode", mode)
	clean := url.URL{Scheme: "postgres", Host: addr, RawQuery: transport.Encode()}
	made, err := pgdriver.NewDriver().OpenConnector(clean.String())
	if err != nil {
		return badURL("Its TLS or timeout parameters are wrong: " + err.Error())
	}
	inner, ok := made.(*pgdriver.Connector)
	if !ok {
		return fmt.Errorf("pgdriver made a connector of type %T", made)
	}
	e.conf = inner.Config()
	// Why: pgdriver cannot fall back to plain text, so the dialer does TLS.
	e.tls, e.conf.TLSConfig = e.conf.TLSConfig, nil
	e.tlsOptional = mode == "prefer" || mode == "allow"
	return nil
}

// dropIgnored removes libpq's parameters that make no difference here.
func (p params) dropIgnored() {
	for _, name := range []string{
		"fallback_application_name", "gssencmode", "client_encoding", "keepalives",
		"keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
	} {
		delete(p, name)
	}
}

func systemUser() string {
	if current, err := user.Current(); err == nil {
		return current.Username
	}
	return "postgres"
}
