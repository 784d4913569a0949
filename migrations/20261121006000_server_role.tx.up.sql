-- Least right: the role onepg_server may append, read, keep views and seal, and
-- can do nothing to what is recorded. Nobody has to use it; the owner of this
-- schema may run a server as before. With it:
--
--   CREATE ROLE app LOGIN PASSWORD '…' IN ROLE onepg_server;
--   APP_DATABASE_URL=postgres://owner@host/db app migrate up
--   APP_DATABASE_URL=postgres://app@host/db APP_AUTO_MIGRATE=false app run
--
-- The role makes no objects in the schema, and so cannot slip a function of its own
-- under one that has more rights; rebuilding a view is done for it by functions
-- that run as the owner (view_rebuild_live says for whom).
--
-- What a server can still do is what it is for: append any event in anybody's
-- name, hold up appends with an open transaction, and spoil views and snapshots,
-- which app verify finds and a rebuild mends.
--
-- A role belongs to the cluster and not to a database: where several logs share a
-- cluster, REVOKE CONNECT ON DATABASE … FROM PUBLIC keeps their servers apart.

-- Why: see the first migration.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

--bun:split

CREATE TABLE server_rights (
    object     text   NOT NULL,
    privileges text[] NOT NULL,
    CONSTRAINT server_rights_pkey PRIMARY KEY (object)
);
COMMENT ON TABLE server_rights IS
    'What a server needs of each table and function, and no more. grant_server_rights gives it to the role onepg_server, app doctor compares it with what a role has.';
-- Why: app doctor tells a role that has nothing what it lacks.
GRANT SELECT ON server_rights TO PUBLIC;

INSERT INTO server_rights (object, privileges) VALUES
    ('events',               '{SELECT}'),
    ('event_log_head',       '{SELECT}'),
    ('event_types',          '{SELECT}'),
    ('event_seals',          '{SELECT}'),
    ('bun_migrations',       '{SELECT}'),
    ('view_positions',       '{SELECT,INSERT,UPDATE,DELETE}'),
    ('view_locks',           '{SELECT,INSERT,UPDATE,DELETE}'),
    ('view_parked',          '{SELECT,INSERT,UPDATE,DELETE}'),
    ('snapshots',            '{SELECT,INSERT,UPDATE,DELETE}'),
    -- Keys are made and revoked by the owner: a server that could would be one
    -- stolen password away from anybody's name.
    ('api_keys',             '{SELECT,UPDATE (last_used_at)}'),
    ('append_events',        '{EXECUTE}'),
    ('register_event_types', '{EXECUTE}'),
    ('seal_events',          '{EXECUTE}'),
    ('view_rebuild_create',  '{EXECUTE}'),
    ('view_rebuild_index',   '{EXECUTE}'),
    ('view_rebuild_swap',    '{EXECUTE}');

--bun:split

CREATE FUNCTION grant_server_rights() RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    home CONSTANT text := quote_ident(current_schema());
    item record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'onepg_server') THEN
        BEGIN
            CREATE ROLE onepg_server NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- made at this moment for another database
            WHEN insufficient_privilege THEN
                RAISE WARNING USING
                    MESSAGE = format('role %s may not make the role onepg_server, so servers need the rights of the owner', current_user),
                    HINT = 'Let a role with CREATEROLE do it: CREATE ROLE onepg_server NOLOGIN. Then, as the owner: SELECT grant_server_rights()';
                RETURN false;
        END;
    END IF;
    -- A function of somebody else's in this schema could be taken for one that
    -- append_events calls. From PostgreSQL 15 on this is the default.
    BEGIN
        EXECUTE format('REVOKE CREATE ON SCHEMA %s FROM PUBLIC', home);
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO onepg_server', home);
    EXCEPTION WHEN insufficient_privilege THEN NULL; -- app doctor says who may create
    END;
    FOR item IN
        SELECT unnest(r.privileges) AS privilege,
               coalesce('TABLE ' || to_regclass(quote_ident(r.object))::text, 'FUNCTION ' || to_regproc(quote_ident(r.object))::text) AS object
          FROM server_rights r
    LOOP
        IF item.object IS NOT NULL THEN -- a table that is not there any more
            EXECUTE format('GRANT %s ON %s TO onepg_server', item.privilege, item.object);
        END IF;
    END LOOP;
    RETURN true;
END
$$;
COMMENT ON FUNCTION grant_server_rights IS
$$Makes the role onepg_server if it may, gives it what server_rights lists, and says
whether the role is there. Safe to repeat, by the owner of the schema: after the role
was made by hand, or after restoring a dump where it was missing.$$;

--bun:split

CREATE FUNCTION grant_view(view text) RETURNS boolean
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
    INSERT INTO server_rights (object, privileges) VALUES (view, '{SELECT,INSERT,UPDATE,DELETE}') ON CONFLICT DO NOTHING;
    SELECT grant_server_rights();
$$;
COMMENT ON FUNCTION grant_view IS
$$Lets a server of least right keep and rebuild the view in this table. The migration
that makes the table of a view ends with it: SELECT grant_view('orders').$$;
REVOKE ALL ON FUNCTION grant_server_rights, grant_view FROM PUBLIC;

--bun:split

SELECT grant_view('users'), grant_view('payment_summaries'), grant_view('payment_customers');
