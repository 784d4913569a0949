-- The roles stay: they belong to the cluster, and other databases may use them.
DO $$
DECLARE
    item record;
BEGIN
    IF server_roles_ready() THEN
        REASSIGN OWNED BY onepg_views TO CURRENT_USER;
        DROP OWNED BY onepg_server, onepg_views; -- owns nothing now: only rights go
    END IF;
    FOR item IN
        SELECT p.oid::regprocedure AS name, p.proname LIKE 'view\_rebuild\_%' AS rebuilds FROM pg_proc p
         WHERE p.pronamespace = current_schema()::regnamespace AND 'search_path=' || quote_ident(current_schema()) || ', pg_temp' = ANY (p.proconfig)
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path FROM CURRENT', item.name);
        IF item.rebuilds THEN
            EXECUTE format('ALTER FUNCTION %s SECURITY INVOKER', item.name);
        END IF;
    END LOOP;
    -- It had none.
    ALTER FUNCTION refuse_change_of_history RESET search_path;
END
$$;

--bun:split

DROP FUNCTION grant_server_rights, adopt_view, server_roles_ready;
