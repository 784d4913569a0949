package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// prefix marks the names in the environment that are ours.
const prefix = "APP_"

// setting is one row of the table.
type setting struct {
	key     string // its name in the environment
	preset  string // the default, as it would be written in .env
	meaning string // one line, for --help and .env.example
	value   value
}

// value accepts a setting's text or says what it must be, without repeating it.
type value interface {
	set(text string) error
	// masked is the accepted text with its secrets masked.
	masked() string
	// secret reports whether the text must not be shown as it is.
	secret() bool
}

// table binds each setting to its field of c. A new setting is a field and a
// row; nothing else has to know about it.
func table(c *Config) []setting {
	db, limits, payments := &c.Database, &c.Limits, &c.Payments
	return []setting{
		{"APP_ADDR", "127.0.0.1:8080", "Address the API listens on; with APP_AUTH=none it must be a loopback address.", address(&c.Addr)},
		{"APP_OPS_ADDR", "", "Address that serves /metrics and pprof apart from the API; empty for none.", optional(address(&c.OpsAddr))},
		{"APP_DATABASE_URL", "", "PostgreSQL 15 or newer as postgres://user:password@host:port/database; empty for the embedded one.", optional(location(&db.URL))},
		{"APP_LISTEN_URL", "", "Direct connection for LISTEN, migrations and rebuilds when APP_DATABASE_URL goes through a pooler; empty for the same.", optional(location(&db.ListenURL))},
		{"APP_DATA_DIR", ".data", "Folder where the embedded PostgreSQL lives.", required(&db.DataDir)},
		{"APP_PG_BINDIR", "", "Folder of the embedded PostgreSQL's binaries; empty to search for the newest.", text(&db.BinDir)},
		{"APP_AUTH", string(AuthNone), "Access control: none (loopback addresses only), keys or jwt.", oneOf(&c.Auth, AuthNone, AuthKeys, AuthTokens)},
		{"APP_JWT_KEYS", "", "With APP_AUTH=jwt, the issuer's public keys: file or URL of a JSON Web Key Set.", optional(keySet(&c.Tokens.KeySet))},
		{"APP_JWT_ISSUER", "", "With APP_AUTH=jwt, the issuer (iss) of accepted tokens.", text(&c.Tokens.Issuer)},
		{"APP_JWT_AUDIENCE", "", "With APP_AUTH=jwt, the audience (aud) of accepted tokens.", text(&c.Tokens.Audience)},
		{"APP_JWT_SCOPE_CLAIM", "scope", "With APP_AUTH=jwt, the claim that holds the scopes.", required(&c.Tokens.ScopeClaim)},
		{"APP_RATE", "100", "With access control, requests per second of one credential.", number(&c.Access.Rate, 1, maxRate)},
		{"APP_RATE_BURST", "200", "With access control, requests of one credential at once after a pause.", number(&c.Access.Burst, 1, maxRate)},
		{"APP_TRUSTED_PROXIES", "", "Networks whose X-Forwarded-For is believed, such as 10.0.0.0/8,::1/128; empty for none.", listOf(&c.Access.Proxies, network)},
		{"APP_CORS_ORIGINS", "", "Origins whose pages may use the API, such as https://app.example.com; empty for none.", listOf(&c.Access.Origins, webOrigin)},
		{"APP_LOG_LEVEL", "info", "Least level that is logged: debug, info, warn or error.", level(&c.Log.Level)},
		{"APP_LOG_FORMAT", "", "Shape of the log, text or json; empty for text on a terminal and json elsewhere.", optional(oneOf(&c.Log.Format, FormatText, FormatJSON))},
		{"APP_AUTO_MIGRATE", "true", "Whether app run applies pending migrations at start.", boolean(&db.AutoMigrate)},
		{"APP_POOL_SIZE", "10", "Connections to PostgreSQL the API may open.", number(&db.PoolSize, 1, 1000)},
		{"APP_POOL_WAIT", "2s", "Longest wait for one of these connections.", duration(&db.PoolWait)},
		{"APP_STATEMENT_TIMEOUT", "5s", "Longest time one SQL statement may run.", duration(&db.StatementTimeout)},
		{"APP_LOCK_TIMEOUT", "2s", "Longest wait for a lock in PostgreSQL.", duration(&db.LockTimeout)},
		{"APP_IDLE_IN_TRANSACTION_TIMEOUT", "10s", "Longest time a transaction may sit idle.", duration(&db.IdleInTransactionTimeout)},
		{"APP_POLL_INTERVAL", "1s", "How often views look for events when no notification arrives.", duration(&c.PollInterval)},
		{"APP_MAX_BODY_BYTES", "1048576", "Largest request body.", number(&limits.BodyBytes, 1, maxBytes)},
		{"APP_MAX_PAYLOAD_BYTES", "262144", "Largest payload of one event.", number(&limits.PayloadBytes, 1, maxBytes)},
		{"APP_MAX_BATCH_EVENTS", "1000", "Most events in one request.", number(&limits.BatchEvents, 1, maxBatch)},
		{"APP_MAX_JSON_DEPTH", "32", "Deepest nesting of JSON in a body.", number(&limits.JSONDepth, 1, maxDepth)},
		{"APP_MAX_HEADER_BYTES", "16384", "Largest sum of a request's headers.", number(&limits.HeaderBytes, minHeader, maxHeader)},
		{"APP_HEADER_TIMEOUT", "5s", "Longest time to read a request's headers.", duration(&limits.HeaderTimeout)},
		{"APP_BODY_TIMEOUT", "15s", "Longest time to read a request's body.", duration(&limits.BodyTimeout)},
		{"APP_ANSWER_TIMEOUT", "30s", "Longest time to write an answer; for streams, one message.", duration(&limits.AnswerTimeout)},
		{"APP_IDLE_TIMEOUT", "60s", "Longest silence on a connection between two requests.", duration(&limits.IdleTimeout)},
		{"APP_STREAM_CLIENTS", "1000", "Most live streams open at a time.", number(&limits.StreamClients, 1, maxStreams)},
		{"APP_STREAM_BUFFER", "256", "Messages kept for the clients of a live stream to take.", number(&limits.StreamBuffer, 1, maxBuffer)},
		{"APP_STREAM_HEARTBEAT", "15s", "Longest silence on a live stream.", duration(&limits.StreamHeartbeat)},
		{"APP_SHUTDOWN_TIMEOUT", "10s", "Longest wait for requests in flight when stopping.", duration(&c.ShutdownTimeout)},
		{"APP_PAYMENT_LIMITS", "credit_card=50000,debit_card=25000,bank_transfer=250000,wallet=15000", "Most that may be paid at once in USD, by method; a method left out is not accepted.", amounts(&payments.Limits)},
		{"APP_PAYMENT_REVIEW_OVER", "10000", "Amount in USD over which a payment of high risk is put before a person.", amount(&payments.ReviewOver)},
		{"APP_PAYMENT_RATES", "EUR=0.9,GBP=0.8,CHF=0.9,JPY=150,CNY=7,INR=85,CAD=1.4,AUD=1.5,NZD=1.7,SEK=10,NOK=10,DKK=6.7,PLN=4,CZK=23,HUF=360,RON=4.5,ILS=3.6,AED=3.67,SAR=3.75,ZAR=18,BRL=5.5,MXN=18,SGD=1.3,HKD=7.8,KRW=1400,THB=34,KWD=0.31,BHD=0.376", "What counts as 1 USD for the two above; a currency left out is not accepted.", amounts(&payments.Rates)},
		{"APP_PAYMENT_HIGH_RISK", "70", "Risk score, 0 to 100, from which a risk is high.", number(&payments.HighRisk, 0, maxScore)},
		{"APP_PAYMENT_RISK_WINDOW", "24h", "How long a customer's payments count as recent.", duration(&payments.RiskWindow)},
		{"APP_PAYMENT_RISK_BURST", "5", "How many recent payments raise a customer's risk.", number(&payments.RiskBurst, 1, maxBurst)},
	}
}

// flagName is a key's name on the command line: APP_POOL_SIZE is pool-size.
func flagName(key string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(key, prefix), "_", "-"))
}

// Flags adds a flag for every setting. [Load] reads them from the same set.
func Flags(flags *pflag.FlagSet) {
	for _, s := range table(new(Config)) {
		flags.String(flagName(s.key), s.preset, s.meaning)
		if s.preset == "true" || s.preset == "false" {
			flags.Lookup(flagName(s.key)).NoOptDefVal = "true"
		}
	}
}

// Example is the content of .env.example: every setting with its meaning and
// its default. Used unchanged as .env it changes nothing.
func Example() string {
	var b strings.Builder
	for i, s := range table(new(Config)) {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("# " + s.meaning + "\n" + s.key + "=" + s.preset + "\n")
	}
	return b.String()
}
