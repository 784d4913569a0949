-- The table of a view that was dropped and made again, by the way down and up of its
-- migration, is empty, and the view begins anew.

-- Why: see the first migration.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

--bun:split

CREATE OR REPLACE FUNCTION grant_view(view text) RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    filled boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', view) INTO filled;
    IF NOT filled THEN
        -- What is known of rows that are not there would keep events out.
        DELETE FROM view_positions v WHERE v.view IN (grant_view.view, grant_view.view || '_rebuild');
        DELETE FROM view_locks l WHERE l.view = grant_view.view;
        DELETE FROM view_parked p WHERE p.view IN (grant_view.view, grant_view.view || '_rebuild');
    END IF;
    INSERT INTO server_rights (object, privileges) VALUES (view, '{SELECT,INSERT,UPDATE,DELETE}') ON CONFLICT DO NOTHING;
    RETURN grant_server_rights();
END
$$;
COMMENT ON FUNCTION grant_view IS
$$Lets a server of least right keep and rebuild the view in this table, and where the
table is empty begins the view from the first event. The migration that makes the table
of a view ends with it: SELECT grant_view('orders').$$;

--bun:split

SELECT grant_view('users'), grant_view('payment_summaries'), grant_view('payment_customers');
