-- The role stays: it belongs to the cluster, and other databases may use it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'onepg_server') THEN
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM onepg_server', current_schema());
        EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM onepg_server', current_schema());
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM onepg_server', current_schema());
    END IF;
END
$$;

--bun:split

DROP FUNCTION grant_view, grant_server_rights;
DROP TABLE server_rights;
