-- The beginning and the end of a view's batch in one message each: it begins with
-- view_claim, and ends with its rows, view_advance and COMMIT together. So a lock that
-- is not as it should be has to be an error, and not just an answer.

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

CREATE FUNCTION view_advanced(advanced boolean, view text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT advanced THEN
        RAISE integrity_constraint_violation USING
            MESSAGE = format('the locks of view %s are not at the expected versions, so nothing was applied', view);
    END IF;
END
$$;
COMMENT ON FUNCTION view_advanced IS
'Fails (23000) where view_advance answered false, so that the COMMIT that was sent with it is not executed.';

ALTER FUNCTION view_advance SET jit = off;

REVOKE ALL ON FUNCTION view_claim, view_advanced FROM PUBLIC;
INSERT INTO server_rights (object, privileges) VALUES ('view_claim', '{EXECUTE}'), ('view_advanced', '{EXECUTE}');
SELECT grant_server_rights();
