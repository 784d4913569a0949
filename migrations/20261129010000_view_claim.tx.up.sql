-- The beginning and the end of a view's batch in one message each: it begins with
-- view_claim, and ends with its rows, view_advance and COMMIT together. So
-- view_advance has to fail where a lock is not as it should be, and cannot just
-- say so.

-- Why: see the first migration.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

--bun:split

-- Why a function: the four statements are planned once a connection, and the
-- program waits for one answer and not two.
CREATE FUNCTION view_claim(view text, follows text, aggregate text, mine integer, most bigint)
RETURNS TABLE (
    from_position  bigint,
    head           bigint,
    revision       integer,
    halted         text,
    waiting        boolean,
    id             uuid,
    aggregate_id   uuid,
    kind           text,
    name           text,
    schema_version integer,
    version        integer,
    "position"     bigint,
    payload        json,
    metadata       jsonb,
    actor          text,
    recorded_at    timestamptz
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off -- a plan that was made while the table was small stays
SET jit = off -- such a plan would be compiled at every call
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    SELECT v."position", v.revision, coalesce(v.halted, '') INTO from_position, revision, halted
      FROM view_positions v WHERE v.view = view_claim.view FOR NO KEY UPDATE SKIP LOCKED;
    -- Why after the lock: a statement that waits for one sees its row as it is then,
    -- and all else as it was before.
    IF follows IS NULL THEN
        SELECT h."position" INTO head FROM event_log_head h WHERE h.singleton;
    ELSE
        SELECT v."position" INTO head FROM view_positions v WHERE v.view = follows;
    END IF;
    IF from_position IS NULL OR head IS NULL THEN
        RETURN;
    END IF;
    waiting := EXISTS (SELECT FROM view_parked p WHERE p.view = view_claim.view);
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN NEXT;
    IF halted <> '' OR revision > mine THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT NULL::bigint, NULL::bigint, NULL::integer, NULL::text, NULL::boolean,
           e.id, e.aggregate_id, e.aggregate, e.name, e.schema_version, e.version, e."position", e.payload, e.metadata, e.actor, e.recorded_at
      FROM events e
     WHERE e.aggregate = view_claim.aggregate AND e."position" > from_position AND e."position" <= least(head, from_position + most)
     ORDER BY e."position";
END
$$;
COMMENT ON FUNCTION view_claim IS
$$Begins a batch of a view: takes its row of view_positions, unless somebody else has
it or there is none, for which it answers nothing.

The first row of the answer is where the view stands: its position, how far it may go
(the log's head, or the position of the view that it follows), its revision, why it is
halted ('' if it is not), and whether some aggregates are parked. The others are the
events of the aggregates' kind in the next so many positions, in their order: none of a
view that is halted, or of a newer revision than that of who asks.$$;

--bun:split

-- Why it still answers: the servers of the version before ask for it, and take the
-- error for a row that the table refused, which is looked into in the same way.
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
SET jit = off
AS $$
#variable_conflict use_variable
BEGIN
    IF cardinality(aggregate_ids) > 0 THEN
        IF EXISTS (SELECT FROM unnest(aggregate_ids, from_versions) AS n (aggregate_id, version)
                    WHERE n.version <> coalesce((SELECT l.version FROM view_locks l
                                                  WHERE l.view = view_advance.view AND l.aggregate_id = n.aggregate_id), 0)) THEN
            RAISE integrity_constraint_violation USING
                MESSAGE = format('the locks of view %s are not at the expected versions, so nothing was applied', view);
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
being none; fails (23000) if one of them is not where it should be. Stores the
position, counts the events and those of them that were parked in the stretch that
watch bounds, and tells views:updated if it shall. Answers true.$$;

REVOKE ALL ON FUNCTION view_claim FROM PUBLIC;
INSERT INTO server_rights (object, privileges) VALUES ('view_claim', '{EXECUTE}');
SELECT grant_server_rights();
