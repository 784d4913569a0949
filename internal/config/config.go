// Package config reads what the operator may set, and nothing else in the
// program reads the environment.
//
// Each setting is one row of one table (settings.go): its APP_* name, its
// default, its meaning and what it accepts. The flags, the names in the
// environment, .env.example and `app config show` all come from that row, so
// they cannot disagree. A flag wins over the environment, the environment over
// the file .env in the working directory, and that over the default.
//
// [Load] either returns settings that are all valid or one error that lists
// every mistake: a name nobody knows (a typo would otherwise be a silent
// default), a value out of range, a .env that cannot be read, or a combination
// that would be unsafe. It never repeats a secret, not even a broken one.
//
// Viper decides which source wins. Its Unmarshal is not used: it gives zero
// values for names it has only seen in the environment, and its weak typing
// turns "" into 0 and "010" into 8. The rows parse their own values instead.
package config

import (
	"log/slog"
	"net/netip"
	"time"
)

// Config is every setting, parsed and checked. A zero Config is not usable;
// [Load] makes one.
type Config struct {
	// Addr is where the API listens, host:port. Port 0 takes a free one.
	Addr string
	// OpsAddr is where /metrics and pprof are served; empty means /metrics
	// stays on Addr and pprof is off.
	OpsAddr  string
	Auth     Auth
	Tokens   Tokens
	Access   Access
	Database Database
	Limits   Limits
	Log      Log
	Payments Payments
	// PollInterval is how long a view may sleep when no notification wakes it.
	PollInterval time.Duration
	// ShutdownTimeout is how long requests in flight get to finish.
	ShutdownTimeout time.Duration
	// Ignored are variables of the environment that are named APP_* and are no
	// settings.
	Ignored []string

	settings []Setting
}

// Auth names the way callers prove who they are.
type Auth string

// The ways. AuthNone lets everybody in as "anonymous", which is why the program
// then listens on loopback addresses only. AuthKeys wants a key that `app keys`
// made, AuthTokens a token that somebody else signed; see [Tokens].
const (
	AuthNone   Auth = "none"
	AuthKeys   Auth = "keys"
	AuthTokens Auth = "jwt"
)

// Tokens says whose JSON Web Tokens are good. It is complete with AuthTokens
// and of no account otherwise.
type Tokens struct {
	// KeySet is the issuer's JWKS, a file's name or a URL.
	KeySet string
	// Issuer and Audience are what a token's iss and aud must say.
	Issuer   string
	Audience string
	// ScopeClaim names the claim that holds the scopes.
	ScopeClaim string
}

// Access says how often callers may come and from where.
type Access struct {
	// Rate and Burst are the requests of one credential per second, and at once
	// after a pause; without access control they do not count.
	Rate, Burst int
	// Proxies are trusted to say in X-Forwarded-For whom they ask for.
	Proxies []netip.Prefix
	// Origins are the web pages, as scheme://host:port, that browsers let use
	// the API (CORS), and that may change something without access control.
	Origins []string
}

// Database says where PostgreSQL is and how patient we are with it.
type Database struct {
	// URL is empty when the embedded PostgreSQL is wanted.
	URL URL
	// ListenURL reaches PostgreSQL without a pooler, for LISTEN. It equals
	// URL unless it was set.
	ListenURL URL
	// DataDir is where the embedded PostgreSQL keeps its cluster.
	DataDir string
	// BinDir holds the embedded PostgreSQL's binaries; empty means search.
	BinDir string
	// AutoMigrate applies pending migrations when the server starts.
	AutoMigrate bool
	// PoolSize is the number of connections the API may open. Views and the
	// listener have their own.
	PoolSize int
	// PoolWait is how long a request queues for one of them.
	PoolWait time.Duration
	// The three below are set on every connection, because cancelling a
	// context does not stop a statement that is already running.
	StatementTimeout         time.Duration
	LockTimeout              time.Duration
	IdleInTransactionTimeout time.Duration
}

// Limits bound what one request may cost. Sizes are in bytes and inclusive.
type Limits struct {
	BodyBytes    int
	PayloadBytes int
	BatchEvents  int
	JSONDepth    int
	HeaderBytes  int
	// HeaderTimeout and BodyTimeout bound reading a request, AnswerTimeout
	// writing its answer, IdleTimeout a connection between two requests.
	HeaderTimeout time.Duration
	BodyTimeout   time.Duration
	AnswerTimeout time.Duration
	IdleTimeout   time.Duration
	// StreamClients bounds the open streams, StreamBuffer the messages of each
	// stream that are kept for clients to take, and StreamHeartbeat the silence
	// on one.
	StreamClients   int
	StreamBuffer    int
	StreamHeartbeat time.Duration
}

// Log says what is logged and in which shape.
type Log struct {
	Level slog.Level
	// Format is "text", "json", or empty: text on a terminal, json elsewhere.
	Format string
}

// Payments is what an operator decides about payments. Amounts are decimals as
// text, in USD; package payments says what they mean.
type Payments struct {
	Limits     map[string]string // by method
	Rates      map[string]string // by currency
	ReviewOver string
	HighRisk   int
	RiskWindow time.Duration
	RiskBurst  int
}

// Setting is one row as it was resolved, safe to print.
type Setting struct {
	Key string `json:"key"`
	// Value has its secrets masked.
	Value  string `json:"value"`
	Source Source `json:"source"`
}

// Settings lists every setting in the order of .env.example.
func (c *Config) Settings() []Setting { return c.settings }
