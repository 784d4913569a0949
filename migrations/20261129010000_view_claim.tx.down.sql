-- Why: see the first migration.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

--bun:split

DELETE FROM server_rights WHERE object = 'view_claim';

--bun:split

DROP FUNCTION view_claim;

--bun:split

CREATE OR REPLACE FUNCTION view_advance(
    view          text,
    "position"    bigint,
    aggregate_ids uuid[],
    from_versions integer[],
    to_versions   integer[],
    events        integer,
    parked        integer,
    watch         interval,
    tell          boolean
) RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off -- a plan that was made while the table was small stays
AS $$
#variable_conflict use_variable
BEGIN
    IF cardinality(aggregate_ids) > 0 THEN
        IF EXISTS (SELECT FROM unnest(aggregate_ids, from_versions) AS n (aggregate_id, version)
                    WHERE n.version <> coalesce((SELECT l.version FROM view_locks l
                                                  WHERE l.view = view_advance.view AND l.aggregate_id = n.aggregate_id), 0)) THEN
            RETURN false;
        END IF;
        INSERT INTO view_locks (view, aggregate_id, version)
        SELECT view, n.aggregate_id, n.version FROM unnest(aggregate_ids, to_versions) AS n (aggregate_id, version)
            ON CONFLICT ON CONSTRAINT view_locks_pkey DO UPDATE SET version = EXCLUDED.version;
    END IF;
    UPDATE view_positions v
       SET "position" = view_advance."position", updated_at = clock_timestamp(),
           watch_since  = CASE WHEN now() > v.watch_since + watch THEN now() ELSE v.watch_since END,
           watch_events = CASE WHEN now() > v.watch_since + watch THEN 0 ELSE v.watch_events END + events,
           watch_parked = CASE WHEN now() > v.watch_since + watch THEN 0 ELSE v.watch_parked END + parked
     WHERE v.view = view_advance.view;
    IF tell THEN
        PERFORM pg_notify('views:updated', concat_ws(',', view, "position"));
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION view_advance IS
$$Ends a batch of a view, by the transaction that holds its row of view_positions.

Moves the locks of the aggregates (parallel arrays) from one version to another, 0
being none; answers false, and does nothing, if one of them is not where it should
be. Stores the position, counts the events and those of them that were parked in the
stretch that watch bounds, and tells views:updated if it shall.$$;
