-- A rebuild that is under way is given up; the live views are not touched.
DO $$
DECLARE
    shadow text;
BEGIN
    FOR shadow IN SELECT view FROM view_positions WHERE view LIKE '%\_rebuild' LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', shadow);
    END LOOP;
END
$$;

--bun:split

DELETE FROM view_parked WHERE view LIKE '%\_rebuild';
DELETE FROM view_positions WHERE view LIKE '%\_rebuild';
DROP FUNCTION view_rebuild_live, view_rebuild_grant, view_rebuild_create, view_rebuild_check, view_rebuild_index, view_rebuild_swap;
ALTER TABLE view_positions
    DROP CONSTRAINT view_positions_revision_check,
    DROP COLUMN revision, DROP COLUMN started_at, DROP COLUMN halted,
    DROP COLUMN watch_since, DROP COLUMN watch_events, DROP COLUMN watch_parked;
