package doctor

import (
	"context"
	"strings"
)

// privileges is what the role may do beyond and short of what the server needs.
type privileges struct {
	Role    string   `bun:"role"`
	Powers  []string `bun:"powers,array"`
	Missing []string `bun:"missing,array"`
	Excess  []string `bun:"excess,array"`
	Owner   bool     `bun:"owner"`
}

// privilegesQuery asks the catalogue, about the tables of the program that are
// there. Why has_table_privilege says yes to owners and superusers alike: they
// can.
const privilegesQuery = `
SELECT current_user AS role,
  (SELECT array_remove(ARRAY[
      CASE WHEN rolsuper THEN 'superuser' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
      CASE WHEN rolcreatedb THEN 'CREATEDB' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
      CASE WHEN rolbypassrls THEN 'BYPASSRLS' END], NULL)
     FROM pg_roles WHERE rolname = current_user) AS powers,
  coalesce((SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('events')), false) AS owner,
  ARRAY(SELECT privilege || ' on ' || t.relname
          FROM pg_class t
         CROSS JOIN LATERAL unnest(CASE WHEN t.relname LIKE 'view\_%' OR t.relname = 'event_types'
                                        THEN ARRAY['SELECT', 'INSERT', 'UPDATE'] ELSE ARRAY['SELECT'] END) AS privilege
         WHERE t.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('events'))
           AND t.relkind = 'r'
           AND (t.relname LIKE 'view\_%' OR t.relname IN ('events', 'event_types', 'event_log_head', 'api_keys'))
           AND NOT has_table_privilege(t.oid, privilege)
     UNION ALL
        SELECT 'EXECUTE on append_events' FROM pg_proc
         WHERE oid = to_regproc('append_events') AND NOT has_function_privilege(oid, 'EXECUTE')) AS missing,
  ARRAY(SELECT privilege || ' on events' FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS privilege
         WHERE to_regclass('events') IS NOT NULL AND has_table_privilege(to_regclass('events'), privilege)) AS excess`

// rights looks whether the server's role may do what it must, and whether it
// could do what nobody should: change the history (P15).
func rights(ctx context.Context, p *patient) Finding {
	var r privileges
	if err := p.db.NewRaw(privilegesQuery).Scan(ctx, &r); err != nil {
		return unanswered(err)
	}
	return r.judge(p.embedded())
}

func (r privileges) judge(embedded bool) Finding {
	const advice = "Let the server run as a role of its own without these, and apply migrations as the owner " +
		"(APP_AUTO_MIGRATE=false and `app migrate up`): who cannot change the history cannot lose it."
	switch {
	case len(r.Missing) > 0:
		return failed("role "+r.Role+" lacks "+strings.Join(r.Missing, ", "), "GRANT it, or let the role that applied the migrations do so.")
	case embedded:
		return ok("superuser of a private cluster; who can reach its socket is decided by the directory")
	}
	var more []string
	more = append(more, r.Powers...)
	switch {
	case len(r.Powers) > 0 && r.Powers[0] == "superuser":
		// the rest follows from it
	case r.Owner:
		more = append(more, "ownership of events")
	default:
		more = append(more, r.Excess...)
	}
	if len(more) > 0 {
		return warning("role "+r.Role+" has more than the server needs: "+strings.Join(more, ", "), advice)
	}
	return ok("role " + r.Role + " may append to the history and not change it")
}
