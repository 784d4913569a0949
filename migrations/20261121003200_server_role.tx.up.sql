-- Least right: roles for a server that may append, read, and keep views, and can
-- do nothing to what is recorded. Nobody has to use them; the owner of this
-- schema may run a server as before. With them:
--
--   CREATE ROLE app LOGIN PASSWORD '…' IN ROLE onepg_server;
--   APP_DATABASE_URL=postgres://app:…@host/db APP_AUTO_MIGRATE=false app run
--
-- onepg_server  may call append_events and seal_events, read all tables, and
--               write those that can be made again: views and their books,
--               snapshots. It cannot make objects in the schema, and so cannot
--               slip a function of its own under one that has more rights.
-- onepg_views   owns the tables of views and the functions that rebuild them;
--               nobody logs in as it. A rebuild makes a table and drops one,
--               which only owners may; this owner owns nothing else.
--
-- What a server can still do is what it is for: append any event in anybody's
-- name, hold up appends with an open transaction, and spoil views, which
-- app verify finds and a rebuild mends.

-- Roles belong to the cluster: other databases may have made them. A role that
-- may not make roles leaves it at that, and grant_server_rights tells more.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['onepg_server', 'onepg_views'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            END IF;
        EXCEPTION
            WHEN insufficient_privilege THEN NULL;
            WHEN duplicate_object OR unique_violation THEN NULL; -- made at this moment by another
        END;
    END LOOP;
END
$$;

--bun:split

-- Says whether the roles are there and the schema's owner can use them.
CREATE FUNCTION server_roles_ready() RETURNS boolean
LANGUAGE sql STABLE
RETURN (SELECT count(*) = 2 AND coalesce(bool_and(rolname = 'onepg_server' OR pg_has_role(rolname, 'MEMBER')), false)
          FROM pg_roles WHERE rolname IN ('onepg_server', 'onepg_views'));
COMMENT ON FUNCTION server_roles_ready IS 'Part of grant_server_rights.';

--bun:split

-- Gives a view's table to onepg_views. The migration that makes a view's table
-- calls it; without it everything works but a rebuild by a server of least right.
CREATE FUNCTION adopt_view(view text) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF server_roles_ready() THEN
        EXECUTE format('ALTER TABLE %I.%I OWNER TO onepg_views', current_schema(), view);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %I.%I TO onepg_server', current_schema(), view);
    END IF;
END
$$;
COMMENT ON FUNCTION adopt_view IS 'Gives the table of a view to the role onepg_views, if that is there.';

--bun:split

CREATE FUNCTION grant_server_rights() RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    home    CONSTANT text := quote_ident(current_schema());
    item    record;
BEGIN
    IF NOT server_roles_ready() THEN
        RAISE NOTICE USING
            MESSAGE = 'the roles onepg_server and onepg_views are not there or not ours to use, so servers need the rights of the owner',
            HINT = format('Ask a role that may: CREATE ROLE onepg_server NOLOGIN; CREATE ROLE onepg_views NOLOGIN; GRANT onepg_views TO %I. Then: SELECT grant_server_rights()', current_user);
        RETURN false;
    END IF;
    -- A function of somebody else's in this schema could be taken for one that
    -- append_events calls. From PostgreSQL 15 on this is the default.
    BEGIN
        EXECUTE format('REVOKE CREATE ON SCHEMA %s FROM PUBLIC', home);
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'schema % is not ours, so whether PUBLIC may create objects in it stays as it is', home;
    END;
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO onepg_server', home);
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %s TO onepg_views', home);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %s TO onepg_server', home);
    FOR item IN
        SELECT c.oid::regclass AS name FROM pg_class c
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
           AND c.relname NOT IN ('events', 'event_seals', 'event_log_head', 'event_types', 'bun_migrations', 'bun_migration_locks')
    LOOP
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON TABLE %s TO onepg_server', item.name);
    END LOOP;
    GRANT INSERT, UPDATE ON TABLE event_types TO onepg_server;
    GRANT EXECUTE ON FUNCTION append_events, seal_events TO onepg_server;
    -- Tables of later migrations, and those that a rebuild makes.
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %s GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO onepg_server', home);
    EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE onepg_views IN SCHEMA %s GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO onepg_server', home);
    -- Why pg_temp last: where it is not named it comes first, and a temporary
    -- table named events, with a trigger, would run as the owner of the function.
    FOR item IN
        SELECT p.oid::regprocedure AS name, p.proname LIKE 'view\_rebuild\_%' AS rebuilds FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND (p.prosecdef OR p.proname LIKE 'view\_rebuild\_%'
                OR p.proname IN ('append_events_one_by_one', 'append_event', 'notify_events_created', 'refuse_change_of_history'))
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %s, pg_temp', item.name, home);
        IF item.rebuilds THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO onepg_server', item.name);
            EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER', item.name);
            EXECUTE format('ALTER FUNCTION %s OWNER TO onepg_views', item.name);
        END IF;
    END LOOP;
    RETURN true;
END
$$;
COMMENT ON FUNCTION grant_server_rights IS
$$Gives the roles onepg_server and onepg_views their rights in this database, as far as
they are there, and says whether. Safe to repeat, by the owner of the schema: after
the roles were made by hand, or after restoring a dump without them.$$;
REVOKE ALL ON FUNCTION grant_server_rights, adopt_view FROM PUBLIC;

--bun:split

SELECT grant_server_rights();

--bun:split

SELECT adopt_view(name) FROM unnest(ARRAY['users', 'payment_summaries', 'payment_customers']) AS v (name);
