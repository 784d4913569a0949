package verify

import (
	"context"
	"fmt"

	"github.com/uptrace/bun/dialect/pgdialect"
)

// checkRights looks for roles that may write history past append_events.
// Superusers and the owner always may; the seals are against them.
func checkRights(ctx context.Context, q *inquiry) error {
	var rights []string
	err := q.tx.NewRaw(`SELECT DISTINCT format('%s may %s table %s', grantee.name, string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type), c.relname)
	   FROM pg_class c
	  CROSS JOIN LATERAL aclexplode(c.relacl) a
	  CROSS JOIN LATERAL (SELECT CASE WHEN a.grantee = 0 THEN 'everybody' ELSE 'role ' || pg_get_userbyid(a.grantee) END AS name) grantee
	  WHERE c.oid = ANY (?::regclass[]) AND a.grantee <> c.relowner AND a.privilege_type NOT IN ('SELECT', 'REFERENCES')
	  GROUP BY grantee.name, c.relname
	  UNION ALL
	 SELECT format('%s may call %s', CASE WHEN a.grantee = 0 THEN 'everybody' ELSE 'role ' || pg_get_userbyid(a.grantee) END, p.proname)
	   FROM pg_proc p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
	  WHERE p.pronamespace = current_schema()::regnamespace AND a.grantee <> p.proowner
	    AND (p.proname IN ('import_events', 'append_events_one_by_one', 'append_event') OR p.proname = 'append_events' AND a.grantee = 0)
	  ORDER BY 1`, pgdialect.Array(append(history(), "event_log_head", "event_types", "server_rights"))).Scan(ctx, &rights)
	if err != nil {
		return fmt.Errorf("read the rights: %w", err)
	}
	for _, right := range rights {
		q.found(0, "%s", right)
	}
	return nil
}
