package aggregator

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"onepg/internal/fault"
	"onepg/internal/pause"
	"onepg/internal/postgres"
)

const (
	// rebuildSuffix makes the name of a view's rebuild: its table, and its rows in
	// view_positions and view_parked.
	rebuildSuffix = "_rebuild"
	// rebuildInterval is how soon a rebuild that was asked for is noticed.
	rebuildInterval = time.Second
	// handOver is how many positions the swap may have to catch up. Why: the live
	// view waits for it, and 1,000 take less than 50 ms.
	handOver = 1_000
	// swapPause is how long the readers of a busy view get before the swap tries
	// again to have it for a moment.
	swapPause = time.Second
)

func (v View) rebuildName() string { return v.Name + rebuildSuffix }

// Rebuild asks for a view to be folded anew from the first event. Whoever runs
// the view begins within a second; the rows that are there are served and kept
// up to date until then. Asking while a rebuild runs changes nothing; one that
// has halted, or that an older revision began, begins anew.
//
// An unknown view is a fault.NotFound. It is a fault.Conflict when a newer
// program owns the view, or when something is tied to its table.
func (r *Runner) Rebuild(ctx context.Context, view string) error {
	v, err := r.find(view)
	if err != nil {
		return err
	}
	if err := r.register(ctx, v); err != nil {
		return err
	}
	revision := 0
	err = r.reader.NewSelect().Table("view_positions").ColumnExpr("max(revision)").
		Where("view IN (?, ?)", v.Name, v.rebuildName()).Scan(ctx, &revision)
	if err != nil {
		return postgres.Fault(fmt.Errorf("read the revision of view %s: %w", v.Name, err))
	}
	if revision > v.Revision {
		return fault.New(fault.Conflict, "view-newer", fmt.Sprintf(
			"A newer program keeps view %s (revision %d, here %d). Ask that one. If it is gone for good, take the view back: "+
				"app views rebuild %s --take-back.", v.Name, revision, v.Revision, v.Name))
	}
	return r.begin(ctx, v, "p.halted IS NOT NULL OR p.revision < EXCLUDED.revision")
}

// TakeBack makes a view that a newer program kept this program's, which then folds on
// by its own rule. Its rows are those of the newer rule until it is rebuilt, and it is
// the newer program's again as soon as that runs.
func (r *Runner) TakeBack(ctx context.Context, view string) error {
	v, err := r.find(view)
	if err != nil {
		return err
	}
	_, err = r.reader.NewRaw(`UPDATE view_positions
	    SET revision = ?2, halted = CASE WHEN view = ?1 THEN 'taken back' ELSE halted END
	  WHERE view IN (?0, ?1) AND revision > ?2`, v.Name, v.rebuildName(), v.Revision).Exec(ctx)
	if err != nil {
		return postgres.Fault(fmt.Errorf("take view %s back: %w", v.Name, err))
	}
	return nil
}

// begin makes the rebuild's row and its empty table, unless there is a row and
// the condition does not hold for it.
func (r *Runner) begin(ctx context.Context, v View, again string) error {
	err := postgres.InTx(ctx, r.reader, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		// The first condition looks before the second locks: a rebuild at work
		// keeps its row locked for as long as an index takes.
		res, err := tx.NewRaw(`INSERT INTO view_positions AS p (view, revision)
		 SELECT ?0, ?1
		  WHERE NOT EXISTS (SELECT FROM view_positions p, (SELECT ?1 AS revision) excluded WHERE p.view = ?0 AND NOT (`+again+`))
		     ON CONFLICT (view) DO UPDATE
		    SET revision = EXCLUDED.revision, "position" = 0, started_at = now(), halted = NULL,
		        watch_since = now(), watch_events = 0, watch_parked = 0
		  WHERE `+again, v.rebuildName(), v.Revision).Exec(ctx)
		if err != nil {
			return fmt.Errorf("begin the rebuild of view %s: %w", v.Name, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err //nolint:wrapcheck // pgdriver's RowsAffected never fails
		}
		if _, err := tx.NewRaw("DELETE FROM view_parked WHERE view = ?", v.rebuildName()).Exec(ctx); err != nil {
			return fmt.Errorf("clear what the rebuild of view %s had parked: %w", v.Name, err)
		}
		if _, err := tx.NewRaw("SELECT view_rebuild_create(?)", v.Name).Exec(ctx); err != nil {
			return fmt.Errorf("make the table %s: %w", v.rebuildName(), err)
		}
		return nil
	})
	if postgres.SQLState(err) == dependentObjects {
		return fault.Wrap(err, fault.Conflict, "view-tied", "Something is tied to the view's table: "+
			"an SQL view, a foreign key, a trigger or a policy. Drop it for the time of the rebuild.")
	}
	return err
}

// The SQLSTATEs with which the functions of the migration refuse.
const (
	dependentObjects = "2BP01" // something is tied to the table
	alteredMeanwhile = "55000" // the live table is not what it was when the rebuild began
	undefinedColumn  = "42703" // the same, noticed by PostgreSQL
)

// rebuildViews is the life of the one who rebuilds. Why one view at a time: the
// others' live batches need the machine too, and other replicas take other
// views.
func (r *Runner) rebuildViews(ctx context.Context) {
	for ctx.Err() == nil {
		for _, v := range r.views {
			if err := r.rebuildIfAsked(ctx, v); err != nil && ctx.Err() == nil {
				r.metrics.failures.WithLabelValues(v.rebuildName()).Inc()
				r.logger.WarnContext(ctx, "rebuild of a view failed, trying again", slog.String("view", v.Name), slog.Any("error", err))
			}
		}
		pause.For(ctx, rebuildInterval)
	}
}

// rebuildIfAsked works on the view's rebuild if there is one. A view whose rows
// are of an older revision asks for one itself.
func (r *Runner) rebuildIfAsked(ctx context.Context, v View) error {
	var rows []struct {
		View     string `bun:"view"`
		Revision int    `bun:"revision"`
	}
	err := r.rebuilder.NewSelect().Table("view_positions").Column("view", "revision").
		Where("view IN (?, ?)", v.Name, v.rebuildName()).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("look for a rebuild of view %s: %w", v.Name, err)
	}
	asked := false
	for _, row := range rows {
		asked = asked || row.View == v.rebuildName()
		if row.Revision < v.Revision {
			if err := r.Rebuild(ctx, v.Name); err != nil {
				return err
			}
			asked = true
		}
	}
	if !asked {
		return nil
	}
	return r.rebuild(ctx, v, func(int64, int64) {})
}

// Progress tells how far a rebuild is: the position it has read up to, and how
// far it has to go.
type Progress func(position, of int64)

// FollowRebuild asks for a rebuild, as Rebuild does, and returns when the view is
// exchanged. It does the work itself unless somebody else is at it.
func (r *Runner) FollowRebuild(ctx context.Context, view string, progress Progress) error {
	v, err := r.find(view)
	if err != nil {
		return err
	}
	if err := r.Rebuild(ctx, view); err != nil {
		return err
	}
	for {
		if err := r.rebuild(ctx, v, progress); err != nil {
			return err
		}
		all, err := r.Status(ctx)
		if err != nil {
			return err
		}
		for _, s := range all {
			switch {
			case s.Name != view:
			case s.Rebuild == nil:
				return nil
			case s.Rebuild.Halted != "":
				return fault.New(fault.Conflict, "rebuild-halted", "The rebuild has halted and the view is as it was: "+s.Rebuild.Halted+".")
			default:
				progress(s.Rebuild.Position, s.Rebuild.Of)
			}
		}
		if !pause.For(ctx, lookInterval) {
			return fmt.Errorf("follow the rebuild of view %s: %w", view, ctx.Err())
		}
	}
}

// rebuild works until the view is exchanged, or until there is nothing that this
// replica can do: another one is at it, it has halted, an event is unknown here.
// A table that a migration has changed since is begun anew.
func (r *Runner) rebuild(ctx context.Context, v View, progress Progress) error {
	err := r.fillAndSwap(ctx, v, progress)
	if state := postgres.SQLState(err); state == alteredMeanwhile || state == undefinedColumn {
		r.logger.WarnContext(ctx, "rebuild of a view begins anew", slog.String("view", v.Name), slog.Any("reason", err))
		return r.begin(ctx, v, "true")
	}
	return err
}

func (r *Runner) fillAndSwap(ctx context.Context, v View, progress Progress) error {
	ahead := &readAhead{read: r.read, db: r.reader}
	defer ahead.stop()
	filling := r.rebuilding(v)
	filling.batch.read = ahead.next
	var wrong []uuid.UUID // locks
	for indexed := false; ctx.Err() == nil; {
		res, err := r.inBatch(ctx, filling, batch.run)
		if err != nil || res.standing != ready || res.unknown != nil || res.halted != "" {
			return err
		}
		progress(res.position, res.head)
		if res.head-res.position > handOver {
			ahead.start(ctx, filling.batch.next(res))
			continue
		}
		if !indexed {
			if wrong, indexed, err = r.prepare(ctx, v); err != nil || !indexed {
				return err
			}
			continue
		}
		swapped, err := r.swap(ctx, v, wrong)
		switch {
		case swapped:
			r.logger.InfoContext(ctx, "view rebuilt and exchanged", slog.String("view", v.Name), slog.Int("revision", v.Revision))
			return nil
		case postgres.IsLockTimeout(err):
			pause.For(ctx, swapPause)
		case err != nil:
			return err
		}
	}
	return nil
}

// rebuilding is the kind of batch that fills the new table.
func (r *Runner) rebuilding(v View) job {
	return job{db: r.rebuilder, batch: batch{view: v, registry: r.registry, read: r.read, window: rebuildWindow, rebuild: true}}
}

// prepare does what the swap would take too long for. It reports false when another
// replica has the rebuild.
func (r *Runner) prepare(ctx context.Context, v View) (wrong []uuid.UUID, mine bool, err error) {
	if mine, err = r.index(ctx, v); err != nil || !mine {
		return nil, false, err
	}
	wrong, err = r.wrongLocks(ctx, v)
	return wrong, true, err
}

// index makes the indexes of the new table, once it is nearly full. It reports
// false when another replica has the rebuild.
func (r *Runner) index(ctx context.Context, v View) (bool, error) {
	mine := false
	err := postgres.InTx(ctx, r.rebuilder, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		res, err := r.rebuilding(v).in(tx).claim(ctx, 0)
		if err != nil || res.standing != ready {
			return err
		}
		mine = true
		if _, err := tx.NewRaw("SELECT view_rebuild_index(?)", v.Name).Exec(ctx); err != nil {
			return fmt.Errorf("index the table %s: %w", v.rebuildName(), err)
		}
		return nil
	})
	return mine, err
}

// wrongLocks gives the aggregates whose lock is not at the last version that the
// live view has read: it was parked, or somebody else changed the table. One
// statement sees position and locks as they were committed together, so nobody
// has to wait for it; a million aggregates take some two seconds.
func (r *Runner) wrongLocks(ctx context.Context, v View) ([]uuid.UUID, error) {
	var wrong []uuid.UUID
	err := r.rebuilder.NewRaw(`SELECT coalesce(e.aggregate_id, l.aggregate_id)
	   FROM (SELECT aggregate_id, max(version) AS version FROM events
	          WHERE aggregate = ?1 AND "position" <= (SELECT "position" FROM view_positions WHERE view = ?0)
	          GROUP BY aggregate_id) e
	   FULL JOIN (SELECT aggregate_id, version FROM view_locks WHERE view = ?0) l ON l.aggregate_id = e.aggregate_id
	  WHERE e.version IS DISTINCT FROM l.version`, v.Name, v.Aggregate).Scan(ctx, &wrong)
	if err != nil {
		return nil, fmt.Errorf("compare the locks of view %s with the log: %w", v.Name, err)
	}
	return wrong, nil
}

// swap exchanges the tables in one transaction. It reports false when that has
// to wait: more is to be caught up than readers and the live view should wait
// for, or another replica is at it.
//
// Why the order: the live view's row first, so that its position stands still;
// then everything that takes time; and last the exchange, which takes the table
// from its readers.
func (r *Runner) swap(ctx context.Context, v View, wrong []uuid.UUID) (bool, error) {
	swapped := false
	err := postgres.InTx(ctx, r.rebuilder, postgres.TxOptions{}, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewRaw(`SELECT FROM view_positions WHERE view = ? FOR NO KEY UPDATE`, v.Name).Exec(ctx); err != nil {
			return fmt.Errorf("hold view %s: %w", v.Name, err)
		}
		b := r.rebuilding(v).in(tx)
		res, err := b.claim(ctx, 0)
		if err != nil || res.standing != ready || res.head-res.position > handOver {
			return err
		}
		for res.position < res.head {
			before := res.position
			if err := b.fill(ctx, &res); err != nil || res.halted != "" || res.position == before {
				return err
			}
		}
		swapped = true
		return b.exchange(ctx, res.position, wrong)
	})
	return swapped && err == nil, err
}

// exchange makes the rebuild the view. The locks are those of the live view and
// right already, but for those found wrong and of the aggregates that are parked in
// one of the two.
//
// Why 300 ms: a query that comes while this waits for a lock waits behind it,
// and nobody shall wait for more than half a second.
func (b batch) exchange(ctx context.Context, position int64, wrong []uuid.UUID) error {
	for _, s := range []struct{ what, sql string }{
		{"forget the locks that are not right", `DELETE FROM view_locks l USING (
		        SELECT aggregate_id FROM view_parked WHERE view IN (?0, ?1) UNION SELECT unnest(?4::uuid[])) o
		  WHERE l.view = ?0 AND l.aggregate_id = o.aggregate_id`},
		{"set them anew", `INSERT INTO view_locks (view, aggregate_id, version)
		 SELECT ?0, n.aggregate_id, n.version
		   FROM (SELECT o.aggregate_id, coalesce(p.version - 1,
		                (SELECT max(e.version) FROM events e
		                  WHERE e.aggregate_id = o.aggregate_id AND e.aggregate = ?3 AND e."position" <= ?2)) AS version
		           FROM (SELECT aggregate_id FROM view_parked WHERE view IN (?0, ?1) UNION SELECT unnest(?4::uuid[])) o
		           LEFT JOIN view_parked p ON p.view = ?1 AND p.aggregate_id = o.aggregate_id) n
		  WHERE n.version > 0`},
		{"forget what was parked", `DELETE FROM view_parked WHERE view = ?0`},
		{"keep what is parked now", `UPDATE view_parked SET view = ?0, attempts = 1, retry_at = clock_timestamp() + interval '1 second' WHERE view = ?1`},
		{"limit the wait", `SET LOCAL lock_timeout = '300ms'`},
		{"exchange the tables", `SELECT view_rebuild_swap(?0)`},
		{"take over the rebuild's standing", `UPDATE view_positions l
		    SET revision = r.revision, halted = NULL, watch_since = now(), watch_events = 0, watch_parked = 0
		   FROM view_positions r WHERE l.view = ?0 AND r.view = ?1`},
		{"end the rebuild", `DELETE FROM view_positions WHERE view = ?1`},
		{"tell who waits", `SELECT pg_notify('views:updated', ?0 || ',' || ?2)`},
	} {
		if _, err := b.tx.NewRaw(s.sql, b.view.Name, b.view.rebuildName(), position, b.view.Aggregate, pgdialect.Array(wrong)).Exec(ctx); err != nil {
			return fmt.Errorf("rebuild of view %s: %s: %w", b.view.Name, s.what, err)
		}
	}
	return nil
}
