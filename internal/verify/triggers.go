package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/postgres"
)

// history lists the tables that only grow.
func history() []string { return []string{"events", "event_seals"} }

// checkTriggers looks for the triggers that refuse changes of history, and for
// others that could make changes of their own.
func checkTriggers(ctx context.Context, q *inquiry) error {
	// The bits are those of pg_trigger.h: BEFORE, DELETE, UPDATE, TRUNCATE, and
	// neither INSERT nor ROW.
	const refusesChange = 2 | 8 | 16 | 32
	var triggers []struct {
		Table   string `bun:"table"`
		Name    string `bun:"name"`
		Enabled string `bun:"enabled"`
		Whole   bool   `bun:"whole"`
	}
	err := q.tx.NewRaw(`SELECT c.relname AS table, t.tgname AS name, t.tgenabled AS enabled,
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
			q.found(0, "table %s has trigger or rule %s, which is not part of the schema", t.Table, t.Name)
		case t.Enabled == disabled:
			q.found(0, "trigger %s of table %s is disabled", t.Name, t.Table)
		case t.Name == "events_notify_created": // a hint; it protects nothing
		case t.Enabled != always:
			q.found(0, "trigger %s of table %s is not enabled ALWAYS: a session that plays the replica gets past it", t.Name, t.Table)
		case !t.Whole:
			q.found(0, "trigger %s of table %s does not refuse every change", t.Name, t.Table)
		}
		delete(required, t.Name)
	}
	for _, name := range []string{"events_refuse_change", "event_seals_refuse_change", "events_notify_created"} {
		if required[name] {
			q.found(0, "trigger %s is missing", name)
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
				r.add(Finding{Check: "triggers", Detail: fmt.Sprintf("%s of table %s is not refused", change[:6], table)})
			case state != refused && state != noRight && state != readOnly:
				return fmt.Errorf("try to change table %s: %w", table, err)
			}
		}
	}
	return nil
}
