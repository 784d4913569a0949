-- Why: see the first migration.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

--bun:split

CREATE OR REPLACE FUNCTION grant_view(view text) RETURNS boolean
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
    INSERT INTO server_rights (object, privileges) VALUES (view, '{SELECT,INSERT,UPDATE,DELETE}') ON CONFLICT DO NOTHING;
    SELECT grant_server_rights();
$$;
COMMENT ON FUNCTION grant_view IS
$$Lets a server of least right keep and rebuild the view in this table. The migration
that makes the table of a view ends with it: SELECT grant_view('orders').$$;
