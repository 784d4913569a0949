// Package doctor finds out why the program does not run, or will not run well,
// where it is installed. It is behind `app doctor`.
//
// It is a list of checks, each of which looks at one thing, changes nothing and
// says what it found and what to do about it. A check fails when the program
// would not start or could lose what it has acknowledged; it warns when the
// program works and could work better or safer. The first checks are about the
// machine; those behind "connection" are skipped when there is none.
//
// It is as true as its moment: what a check found may be different a second
// later. No finding contains a password.
package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/uptrace/bun"

	"onepg/internal/config"
	"onepg/internal/postgres"
)

// checkTimeout bounds one check. Why so long: the embedded PostgreSQL may have
// to be made first.
const checkTimeout = 60 * time.Second

// Status is how bad a finding is.
type Status string

// The states of a finding, best first. Skipped means that there was nothing to
// look at.
const (
	OK      Status = "ok"
	Skipped Status = "skipped"
	Warning Status = "warning"
	Failed  Status = "failed"
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Found is one line of what is the case, Advice one of what to do about it;
	// a finding that is ok has no advice.
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"`
}

// Options say what to look at.
type Options struct {
	Config *config.Config
	// Connect finds the database as the server would, and starts it if it is
	// the embedded one. The addresses are for queries and for LISTEN.
	Connect func(ctx context.Context) (url, listenURL string, err error)
	// Migrations are those of this binary.
	Migrations fs.FS
	Clock      func() time.Time
}

// patient is what the checks look at. url, listenURL and db are there for the
// checks that need a connection.
type patient struct {
	Options

	url, listenURL string
	db             *bun.DB
}

// embedded reports whether the program runs a PostgreSQL of its own.
func (p *patient) embedded() bool { return p.Config.Database.URL.Empty() }

// check looks at one thing.
type check struct {
	name string
	look func(context.Context, *patient) Finding
}

// machineChecks come before there is a connection; the last one makes it.
func machineChecks() []check {
	return []check{{"binaries", binaries}, {"disk", disk}, {"connection", connection}}
}

func databaseChecks() []check {
	return []check{
		{"version", version},
		{"durability", durability},
		{"migrations", migrations},
		{"rights", rights},
		{"clock", clock},
		{"pooler", pooler},
		{"listen", listen},
	}
}

// Examine runs every check and gives their findings in order.
func Examine(ctx context.Context, o Options) []Finding {
	p := &patient{Options: o}
	defer func() {
		if p.db != nil {
			_ = p.db.Close() // nothing is pending on it
		}
	}()
	var findings []Finding
	for _, c := range machineChecks() {
		findings = append(findings, p.examine(ctx, c))
	}
	for _, c := range databaseChecks() {
		if p.db == nil {
			findings = append(findings, Finding{Check: c.name, Status: Skipped, Found: "there is no connection"})
			continue
		}
		findings = append(findings, p.examine(ctx, c))
	}
	return findings
}

func (p *patient) examine(ctx context.Context, c check) Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	f := c.look(ctx, p)
	f.Check = c.name
	return f
}

// connection opens the database for the checks after it.
func connection(ctx context.Context, p *patient) Finding {
	const advice = "Is PostgreSQL running there, and are the host, the password and the database of APP_DATABASE_URL right? " +
		"`app config show` says where the setting comes from."
	var err error
	if p.url, p.listenURL, err = p.Connect(ctx); err != nil {
		return failed(err.Error(), "The message says what is missing.")
	}
	db, err := postgres.Open(ctx, postgres.Options{URL: p.url, AppName: "onepg doctor", MaxConns: 2})
	if err != nil {
		return failed(err.Error(), advice)
	}
	p.db = db
	var database, role string
	if err := db.QueryRowContext(ctx, "SELECT current_database(), current_user").Scan(&database, &role); err != nil {
		return unanswered(err)
	}
	kind := "the configured PostgreSQL"
	if p.embedded() {
		kind = "the embedded PostgreSQL"
	}
	return ok(fmt.Sprintf("%s, database %s as role %s", kind, database, role))
}

func ok(found string) Finding { return Finding{Status: OK, Found: found} }

func skipped(found string) Finding { return Finding{Status: Skipped, Found: found} }

func warning(found, advice string) Finding {
	return Finding{Status: Warning, Found: found, Advice: advice}
}

func failed(found, advice string) Finding {
	return Finding{Status: Failed, Found: found, Advice: advice}
}

// unanswered is the finding of a check whose question failed.
func unanswered(err error) Finding {
	return failed("the database did not answer: "+err.Error(), "Look at the log of PostgreSQL and run this again.")
}
