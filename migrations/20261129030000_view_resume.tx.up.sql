-- A view's batch of events that the program remembers: it begins with view_resume and
-- not with view_claim, and is one message, COMMIT included.

-- Why: see the first migration.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

--bun:split

CREATE FUNCTION view_resume(view text, mine integer, stands bigint, last bigint, last_id uuid) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off -- a plan that was made while the table was small stays
SET jit = off -- such a plan would be compiled at every call
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM FROM view_positions v
      WHERE v.view = view_resume.view AND v."position" = stands AND v.revision = mine AND v.halted IS NULL
        FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND
       OR EXISTS (SELECT FROM view_parked p WHERE p.view = view_resume.view)
       OR NOT EXISTS (SELECT FROM events e WHERE e."position" = last AND e.id = last_id) THEN
        RAISE integrity_constraint_violation USING
            MESSAGE = format('view %s does not stand at position %s any more, so nothing was applied', view, stands);
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
END
$$;
COMMENT ON FUNCTION view_resume IS
$$Begins a batch of a view, as view_claim does, by a program that knows the log's events
after the position where the view stands, up to the last.

Fails (23000) where somebody else has the view or has moved it, where it is halted, has
parked something or is of another revision than mine, and where the log's last position
is that of another event: of a log that was restored to an earlier state, for example.$$;

REVOKE ALL ON FUNCTION view_resume FROM PUBLIC;
INSERT INTO server_rights (object, privileges) VALUES ('view_resume', '{EXECUTE}');
SELECT grant_server_rights();
