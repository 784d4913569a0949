-- A view's batch of events that the program remembers begins with view_resume and not with
-- view_claim. Nobody needs its answer, so a batch of new aggregates is one message, COMMIT
-- included.

-- Why: see the first migration.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

--bun:split

CREATE FUNCTION view_resume(view text, mine integer, from_position bigint, ids uuid[]) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off -- a plan that was made while the table was small stays
SET jit = off -- such a plan would be compiled at every call
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    -- Why not SKIP LOCKED: whoever has it, to look for instance or to swap a rebuild, most
    -- often leaves it where it stands, and to be refused is an error in the server's log.
    PERFORM FROM view_positions v
      WHERE v.view = view_resume.view AND v."position" = from_position AND v.revision = mine AND v.halted IS NULL
        FOR NO KEY UPDATE;
    IF NOT FOUND
       OR EXISTS (SELECT FROM view_parked p WHERE p.view = view_resume.view)
       OR ids IS DISTINCT FROM ARRAY(SELECT e.id FROM events e
                                      WHERE e."position" > from_position AND e."position" <= from_position + cardinality(ids)
                                      ORDER BY e."position") THEN
        RAISE integrity_constraint_violation USING
            MESSAGE = format('view %s cannot be resumed at position %s, so nothing was applied', view, from_position);
    END IF;
    -- Why: as in view_claim; see batch.claim of internal/aggregator.
    PERFORM set_config('synchronous_commit', 'off', true);
END
$$;
COMMENT ON FUNCTION view_resume IS
$$Begins a batch of a view, as view_claim does, for a program that has the log's next events,
of these ids, after from_position, where it believes the view stands.

Fails (23000) where the view is not there any more; where it is halted, has something
parked or is not of revision mine; and where the log has other events there, because it
was restored to an earlier state, for example. Waits for who has the view.$$;

REVOKE ALL ON FUNCTION view_resume FROM PUBLIC;
INSERT INTO server_rights (object, privileges) VALUES ('view_resume', '{EXECUTE}');
SELECT grant_server_rights();
