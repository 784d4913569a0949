package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"onepg/internal/migrate"
)

// maxSkew is more than clocks that are kept by NTP ever differ.
const maxSkew = 5 * time.Second

// version names the server. One that is too old fails the connection.
func version(ctx context.Context, p *patient) Finding {
	var v string
	if err := p.db.QueryRowContext(ctx, "SHOW server_version").Scan(&v); err != nil {
		return unanswered(err)
	}
	return ok("PostgreSQL " + v)
}

// durability looks whether a committed event survives a crash of the server, as
// P1 promises. The settings are those of our role in our database.
func durability(ctx context.Context, p *patient) Finding {
	var off []string
	const query = `SELECT name FROM pg_settings
		WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name`
	if err := p.db.NewRaw(query).Scan(ctx, &off); err != nil {
		return unanswered(err)
	}
	return judgeDurability(off)
}

func judgeDurability(off []string) Finding {
	if len(off) > 0 {
		return failed("off: "+strings.Join(off, ", "),
			"Turn this on in postgresql.conf, or where ALTER SYSTEM, ALTER ROLE or ALTER DATABASE turned it off: "+
				"events that were acknowledged can be lost in a crash.")
	}
	return ok("fsync, full_page_writes and synchronous_commit are on")
}

// migrations looks whether the schema is the one this binary needs.
func migrations(ctx context.Context, p *patient) Finding {
	migrator, err := migrate.New(p.db, p.Migrations, migrate.Options{})
	if err != nil {
		return failed(err.Error(), "This binary is broken; get another.")
	}
	all, err := migrator.Status(ctx)
	if err != nil {
		return unanswered(err)
	}
	count := make(map[migrate.State]int)
	for _, m := range all {
		count[m.State]++
	}
	pending := fmt.Sprintf("%d of %d are not applied", count[migrate.Pending], len(all))
	switch {
	case count[migrate.Pending] > 0 && p.Config.Database.AutoMigrate:
		return warning(pending, "`app run` applies them when it starts; `app migrate up` applies them now.")
	case count[migrate.Pending] > 0:
		return failed(pending, "Run `app migrate up`; the server does not start without.")
	case count[migrate.Unknown] > 0:
		return warning(fmt.Sprintf("%d were applied by a newer version", count[migrate.Unknown]),
			"Nothing, while versions are being changed; otherwise this binary is an old one.")
	}
	return ok(fmt.Sprintf("all %d are applied", len(all)))
}

// clock compares the server's clock with ours. Events are recorded by the
// server's; tokens expire by ours.
func clock(ctx context.Context, p *patient) Finding {
	var theirs time.Time
	before := p.Clock()
	if err := p.db.QueryRowContext(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
		return unanswered(err)
	}
	took := p.Clock().Sub(before)
	skew := theirs.Sub(before.Add(took / 2)).Round(time.Millisecond)
	if skew.Abs() > maxSkew+took/2 {
		return warning(fmt.Sprintf("the database's clock is off from this machine's by %s", skew),
			"Let NTP keep both: tokens and keys expire at the wrong time, and the times of events are not this machine's.")
	}
	return ok(fmt.Sprintf("the database's clock differs by %s", skew))
}
