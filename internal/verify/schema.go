package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/postgres"
)

// history lists the tables that only grow.
func history() []string { return []string{"events", "event_seals"} }

// checkTriggers looks for the triggers that refuse changes of history, and for
// others that could make changes of their own.
func checkTriggers(_ *run, ctx context.Context, tx bun.Tx, found func(int64, string, ...any)) error {
	// The bits are those of pg_trigger.h: BEFORE, DELETE, UPDATE, TRUNCATE, and
	// neither INSERT nor ROW.
	const refusesChange = 2 | 8 | 16 | 32
	var triggers []struct {
		Table   string `bun:"table"`
		Name    string `bun:"name"`
		Enabled string `bun:"enabled"`
		Whole   bool   `bun:"whole"`
	}
	err := tx.NewRaw(`SELECT c.relname AS table, t.tgname AS name, t.tgenabled AS enabled,
	        t.tgtype = ? AND t.tgqual IS NULL AND t.tgattr = ''::int2vector AND p.proname = 'refuse_change_of_history' AS whole
	   FROM pg_trigger t
	   JOIN pg_class c ON c.oid = t.tgrelid
	   JOIN pg_proc p ON p.oid = t.tgfoid
	  WHERE t.tgrelid = ANY (?::regclass[]) AND NOT t.tgisinternal
	  UNION ALL
	 SELECT c.relname, r.rulename, r.ev_enabled, false
	   FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE r.ev_class = ANY (?::regclass[])
	  ORDER BY 1, 2`, refusesChange, pgdialect.Array(history()), pgdialect.Array(history())).Scan(ctx, &triggers)
	if err != nil {
		return fmt.Errorf("read the triggers: %w", err)
	}
	const always, disabled = "A", "D"
	required := map[string]bool{"events_refuse_change": true, "event_seals_refuse_change": true, "events_notify_created": true}
	for _, t := range triggers {
		switch {
		case !required[t.Name]:
			found(0, "table %s has trigger or rule %s, which is not part of the schema", t.Table, t.Name)
		case t.Enabled == disabled:
			found(0, "trigger %s of table %s is disabled", t.Name, t.Table)
		case t.Name == "events_notify_created": // a hint; it protects nothing
		case t.Enabled != always:
			found(0, "trigger %s of table %s is not enabled ALWAYS: a session that plays the replica gets past it", t.Name, t.Table)
		case !t.Whole:
			found(0, "trigger %s of table %s does not refuse every change", t.Name, t.Table)
		}
		delete(required, t.Name)
	}
	for _, name := range []string{"events_refuse_change", "event_seals_refuse_change", "events_notify_created"} {
		if required[name] {
			found(0, "trigger %s is missing", name)
		}
	}
	return nil
}

// errProbed rolls back a probe that was not refused.
var errProbed = errors.New("not refused")

// probe tries to change history, on no row and in a transaction that is rolled
// back: what the catalogue says of a trigger does not say what its function does.
func (r *run) probe(ctx context.Context) error {
	for _, table := range history() {
		for _, change := range []string{"UPDATE ? SET recorded_at = recorded_at WHERE false", "DELETE FROM ? WHERE false"} {
			if table == "event_seals" {
				change = strings.ReplaceAll(change, "recorded_at", "sealed_at")
			}
			err := postgres.InTx(ctx, r.DB, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.NewRaw(change, bun.Ident(table)).Exec(ctx); err != nil {
					return err //nolint:wrapcheck // its SQLSTATE is all that counts
				}
				return errProbed
			})
			const (
				refused  = "23001" // by the trigger
				noRight  = "42501" // by the rights of this role, before the trigger
				readOnly = "25006" // by a standby, which takes no change at all
			)
			switch state := postgres.SQLState(err); {
			case errors.Is(err, errProbed):
				r.found(Finding{Check: "triggers", Detail: fmt.Sprintf("%s of table %s is not refused", change[:6], table)})
			case state != refused && state != noRight && state != readOnly:
				return fmt.Errorf("try to change table %s: %w", table, err)
			}
		}
	}
	return nil
}

// checkIndexes looks for the indexes that keep things unique.
func checkIndexes(_ *run, ctx context.Context, tx bun.Tx, found func(int64, string, ...any)) error {
	required := []struct{ table, columns string }{
		{"events", "position"},
		{"events", "id"},
		{"events", "aggregate_id,version"},
		{"event_seals", "number"},
		{"event_types", "name"},
		{"event_log_head", "singleton"},
		{"view_positions", "view"},
		{"view_locks", "view,aggregate_id"},
		{"view_parked", "view,aggregate_id"},
	}
	var indexes []string
	err := tx.NewRaw(`SELECT c.relname || ' ' || string_agg(a.attname, ',' ORDER BY k.nth)
	   FROM pg_index i
	   JOIN pg_class c ON c.oid = i.indrelid AND c.relnamespace = current_schema()::regnamespace
	  CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, nth)
	   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
	  WHERE i.indisunique AND i.indisvalid AND i.indisready AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
	  GROUP BY c.relname, i.indexrelid`).Scan(ctx, &indexes)
	if err != nil {
		return fmt.Errorf("read the indexes: %w", err)
	}
	for _, i := range required {
		if !slices.Contains(indexes, i.table+" "+i.columns) {
			found(0, "table %s has no valid unique index on (%s)", i.table, strings.ReplaceAll(i.columns, ",", ", "))
		}
	}
	return nil
}

// checkRights looks for roles that may write history past append_events.
// Superusers and the owner always may; the seals are against them.
func checkRights(_ *run, ctx context.Context, tx bun.Tx, found func(int64, string, ...any)) error {
	var rights []string
	err := tx.NewRaw(`SELECT DISTINCT format('%s may %s table %s', grantee.name, string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type), c.relname)
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
	  ORDER BY 1`, pgdialect.Array(append(history(), "event_log_head"))).Scan(ctx, &rights)
	if err != nil {
		return fmt.Errorf("read the rights: %w", err)
	}
	for _, right := range rights {
		found(0, "%s", right)
	}
	return nil
}
