package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun/dialect/pgdialect"
)

// privileges is what the role may do beyond and short of what the server needs.
type privileges struct {
	Role    string   `bun:"role"`
	Powers  []string `bun:"powers,array"`
	Owner   bool     `bun:"owner"`
	Made    bool     `bun:"made"` // there is a role for servers
	Missing []string `bun:"missing,array"`
	Excess  []string `bun:"excess,array"`
}

// roleQuery asks about the role itself, which every database can answer.
const roleQuery = `
SELECT current_user AS role,
  (SELECT array_remove(ARRAY[
      CASE WHEN rolsuper THEN 'superuser' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
      CASE WHEN rolcreatedb THEN 'CREATEDB' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
      CASE WHEN rolbypassrls THEN 'BYPASSRLS' END], NULL)
     FROM pg_roles WHERE rolname = current_user) AS powers,
  EXISTS (SELECT FROM pg_roles WHERE rolname = 'onepg_server') AS made,
  coalesce((SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('events')), false) AS owner`

// rightsQuery compares what the role may do with what server_rights lists for a
// server: the migrations grant by the same table. Why has_table_privilege says
// yes to owners and superusers alike: they can.
const rightsQuery = `
WITH objects AS (
   SELECT c.oid, c.relname AS name, true AS is_table, ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER'] AS all_there_is
     FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
   UNION ALL
   SELECT p.oid, p.proname, false, ARRAY['EXECUTE']
     FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
      -- What everybody may call by default only computes.
      AND NOT EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)),
 compared AS (
   SELECT o.name, p.privilege, n.part,
          -- Of the whole table or of the function, and of some column at least.
          CASE WHEN o.is_table THEN has_table_privilege(o.oid, p.privilege) ELSE has_function_privilege(o.oid, p.privilege) END AS held,
          o.is_table AND p.privilege IN ('SELECT', 'INSERT', 'UPDATE') AND has_any_column_privilege(o.oid, p.privilege) AS held_in_part
     FROM objects o
    CROSS JOIN LATERAL unnest(o.all_there_is) AS p (privilege)
     -- part is true for "UPDATE (column)", null for what is not needed.
     LEFT JOIN LATERAL (SELECT u <> p.privilege AS part FROM server_rights r, unnest(r.privileges) u
                         WHERE r.object = o.name AND split_part(u, ' ', 1) = p.privilege) n ON true)
SELECT ARRAY(SELECT privilege || ' on ' || name FROM compared
              WHERE NOT part AND NOT held OR part AND NOT held_in_part ORDER BY name, privilege) AS missing,
       ARRAY(SELECT privilege || ' on ' || name FROM compared
              WHERE privilege <> 'SELECT' AND (part IS NULL AND (held OR held_in_part) OR part AND held) ORDER BY name, privilege)
    || CASE WHEN has_schema_privilege(current_schema(), 'CREATE') THEN ARRAY['CREATE on schema ' || current_schema()] ELSE '{}' END AS excess`

// rights looks whether the server's role may do what it must, and whether it
// could do what nobody should: change the history (P15).
func rights(ctx context.Context, p *patient) Finding {
	var r privileges
	if err := p.db.NewRaw(roleQuery).Scan(ctx, &r); err != nil {
		return unanswered(err)
	}
	var migrated bool
	if err := p.db.NewRaw("SELECT to_regclass('server_rights') IS NOT NULL").Scan(ctx, &migrated); err != nil {
		return unanswered(err)
	}
	if migrated {
		if err := p.db.NewRaw(rightsQuery).Scan(ctx, pgdialect.Array(&r.Missing), pgdialect.Array(&r.Excess)); err != nil {
			return unanswered(err)
		}
	}
	return r.judge(p.embedded())
}

// manyRights is how many are named; more would say no more.
const manyRights = 8

func (r privileges) judge(embedded bool) Finding {
	switch {
	case len(r.Missing) > 0:
		return failed("role "+r.Role+" lacks "+listed(r.Missing),
			"As the owner: SELECT grant_server_rights(); GRANT onepg_server TO "+r.Role+";")
	case embedded:
		return ok("superuser of a private cluster; who can reach its socket is decided by the directory")
	}
	more := append([]string(nil), r.Powers...)
	switch {
	case len(r.Powers) > 0 && r.Powers[0] == "superuser":
		// the rest follows from it
	case r.Owner:
		more = append(more, "ownership of events")
	default:
		more = append(more, r.Excess...)
	}
	if len(more) > 0 {
		first := ""
		if !r.Made {
			first = "Make the role that the migrations could not make, CREATE ROLE onepg_server NOLOGIN, and as the owner SELECT grant_server_rights(). "
		}
		return warning("role "+r.Role+" has more than the server needs: "+listed(more),
			first+"Let the server run as a role of its own, CREATE ROLE app LOGIN PASSWORD '…' IN ROLE onepg_server, and apply migrations as the owner "+
				"(APP_AUTO_MIGRATE=false and `app migrate up`): who cannot change the history cannot lose it.")
	}
	return ok("role " + r.Role + " may append to the history and not change it")
}

// listed names the first few.
func listed(rights []string) string {
	if len(rights) > manyRights {
		return fmt.Sprintf("%s and %d more", strings.Join(rights[:manyRights], ", "), len(rights)-manyRights)
	}
	return strings.Join(rights, ", ")
}
