-- Views that say how they stand, and views that are rebuilt beside the live one.
--
-- A rebuild of the view users is a second view, users_rebuild: it has a row of its
-- own in view_positions and, where events fail, rows in view_parked. It has no
-- view_locks: its rows and its position commit together and nobody else writes its
-- table, so the position alone makes it exactly-once, and twice as fast.

-- Why: see the first migration. The functions below run as their owner.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

--bun:split

ALTER TABLE view_positions
    -- Which rule the rows were folded by. A replica whose rule is older leaves
    -- the view alone; one whose rule is newer rebuilds it.
    ADD revision     integer     NOT NULL DEFAULT 1,
    ADD started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Why the view stands still, in words for people; NULL while it works.
    ADD halted       text,
    -- What happened in the current stretch of five minutes.
    ADD watch_since  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD watch_events bigint      NOT NULL DEFAULT 0,
    ADD watch_parked bigint      NOT NULL DEFAULT 0,
    ADD CONSTRAINT view_positions_revision_check CHECK (revision > 0);

--bun:split

-- Finds the live table of a view, and refuses one that the caller may not rebuild.
--
-- Only the owner of a table may exchange it, so the functions below run as their
-- owner, also for a server of least right. The rule that keeps that from being a
-- right to more: who may read, insert, update and delete every row of a table can
-- make any rows of it, and may do so by a rebuild. Nobody has that for the log.
CREATE FUNCTION view_rebuild_live(view text) RETURNS regclass
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $$
DECLARE
    -- Who calls, past SECURITY DEFINER: the role that was set, or who logged in.
    caller CONSTANT text     := coalesce(nullif(current_setting('role'), 'none'), session_user);
    live   CONSTANT regclass := format('%I.%I', current_schema(), view)::regclass;
    lacks  text;
BEGIN
    -- A longer name would be cut, and be that of another table.
    IF view LIKE '%\_rebuild' OR octet_length(view) > 55 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_name', MESSAGE = format('%s cannot be the name of a view', view);
    END IF;
    SELECT p INTO lacks FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p
     WHERE NOT has_table_privilege(caller, live, p) LIMIT 1;
    IF found THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = format('role %s may not %s table %s, and so cannot rebuild it', caller, lacks, live),
            HINT = format('The owner of the schema gives a server the right to keep a view: SELECT grant_view(%L)', view);
    END IF;
    RETURN live;
END
$$;
COMMENT ON FUNCTION view_rebuild_live IS 'Part of rebuilding a view: the live table, if the caller may rebuild it.';

--bun:split

-- Gives the new table the rights that the live one has, and takes away what
-- default privileges gave to it.
CREATE FUNCTION view_rebuild_grant(live regclass, shadow regclass) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT DISTINCT format('REVOKE ALL ON %s FROM %s', shadow,
                               CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
          FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = shadow AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type, shadow,
                      CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                      CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
          FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = live
        UNION ALL
        SELECT format('GRANT %s (%I) ON %s TO %s', a.privilege_type, t.attname, shadow,
                      CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
          FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid = live AND NOT t.attisdropped
    LOOP
        EXECUTE command;
    END LOOP;
END
$$;
COMMENT ON FUNCTION view_rebuild_grant IS 'Part of rebuilding a view: gives <view>_rebuild the rights that the live table has.';

--bun:split

-- Makes the empty table of a rebuild, like the live one but for its indexes:
-- filling first and indexing then is faster. Only the key is there from the
-- start, because rows are found by it.
--
-- Why names such as rebuild_16412: an index's name is unique in its schema, so
-- until the swap the new one is named after the number of the one it replaces.
CREATE FUNCTION view_rebuild_create(view text) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    live    CONSTANT regclass := view_rebuild_live(view);
    shadow  CONSTANT text     := format('%I.%I', current_schema(), view || '_rebuild');
    keeper  text;
    foreign_key record;
BEGIN
    -- What hangs on the table by its number and not by its name would keep the
    -- old one from being dropped, or be lost with it.
    SELECT coalesce(
        (SELECT 'the view or rule on ' || r.ev_class::regclass FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
          WHERE d.refobjid = live AND d.classid = 'pg_rewrite'::regclass AND r.ev_class <> live LIMIT 1),
        (SELECT 'the foreign key of ' || c.conrelid::regclass FROM pg_constraint c WHERE c.contype = 'f' AND c.confrelid = live LIMIT 1),
        (SELECT 'the trigger ' || t.tgname FROM pg_trigger t WHERE t.tgrelid = live AND NOT t.tgisinternal LIMIT 1),
        (SELECT 'the policy ' || p.polname FROM pg_policy p WHERE p.polrelid = live LIMIT 1)
    ) INTO keeper;
    IF keeper IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'dependent_objects_still_exist',
            MESSAGE = format('table %s cannot be exchanged: %s is tied to it', live, keeper),
            HINT = 'Drop it for the time of the rebuild.';
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS %s', shadow);
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING ALL EXCLUDING INDEXES)', shadow, live);
    FOR foreign_key IN SELECT c.conname, pg_get_constraintdef(c.oid) AS definition
                         FROM pg_constraint c WHERE c.conrelid = live AND c.contype = 'f' LOOP
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s', shadow, foreign_key.conname, foreign_key.definition);
    END LOOP;
    PERFORM view_rebuild_grant(live, shadow::regclass);
    PERFORM view_rebuild_index(view, true);
END
$$;
COMMENT ON FUNCTION view_rebuild_create IS 'Part of rebuilding a view: makes the empty table <view>_rebuild like the live one.';

--bun:split

-- Refuses a rebuild whose table has other columns than the live one: a migration
-- has changed that since.
CREATE FUNCTION view_rebuild_check(view text) RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    live   CONSTANT regclass := format('%I.%I', current_schema(), view)::regclass;
    shadow CONSTANT regclass := format('%I.%I', current_schema(), view || '_rebuild')::regclass;
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT * FROM pg_attribute WHERE attrelid = live AND attnum > 0 AND NOT attisdropped) l
          FULL JOIN (SELECT * FROM pg_attribute WHERE attrelid = shadow AND attnum > 0 AND NOT attisdropped) s USING (attname)
         WHERE (l.atttypid, l.atttypmod, l.attnotnull, l.attgenerated, l.attcollation)
               IS DISTINCT FROM (s.atttypid, s.atttypmod, s.attnotnull, s.attgenerated, s.attcollation))
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('table %s was altered while it was rebuilt', live),
            HINT = 'The rebuild starts again by itself.';
    END IF;
END
$$;
COMMENT ON FUNCTION view_rebuild_check IS 'Part of rebuilding a view: fails when <view>_rebuild has other columns than the live table.';

--bun:split

CREATE FUNCTION view_rebuild_index(view text, only_key boolean DEFAULT false) RETURNS integer
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    live   CONSTANT regclass := view_rebuild_live(view);
    shadow CONSTANT text     := format('%I.%I', current_schema(), view || '_rebuild');
    made   integer := 0;
    index  record;
BEGIN
    PERFORM view_rebuild_check(view);
    FOR index IN
        SELECT 'rebuild_' || i.indexrelid::oid AS name, i.indisunique, pg_get_constraintdef(c.oid) AS rule,
               -- From here on the definition names neither index nor table.
               substring(pg_get_indexdef(i.indexrelid) FROM ' USING .*') AS definition
          FROM pg_index i
          LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.conrelid = live AND c.contype IN ('p', 'u', 'x')
         WHERE i.indrelid = live AND (i.indisprimary OR NOT only_key)
           AND NOT EXISTS (SELECT FROM pg_index s JOIN pg_class k ON k.oid = s.indexrelid
                            WHERE s.indrelid = shadow::regclass AND k.relname = 'rebuild_' || i.indexrelid::oid)
         ORDER BY i.indexrelid
    LOOP
        IF index.rule IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s', shadow, index.name, index.rule);
        ELSE
            EXECUTE format('CREATE %s INDEX %I ON %s %s',
                CASE WHEN index.indisunique THEN 'UNIQUE' ELSE '' END, index.name, shadow, index.definition);
        END IF;
        made := made + 1;
    END LOOP;
    -- Without statistics the first queries after the swap would be planned blindly.
    IF NOT only_key THEN
        EXECUTE format('ANALYZE %s', shadow);
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION view_rebuild_index IS
    'Part of rebuilding a view: makes the indexes that <view>_rebuild does not have yet, and says how many.';

--bun:split

-- Puts the new table in the place of the live one: rights, comments, options and
-- names. Whoever reads the view waits for the end of this transaction, so all it
-- does is change the catalogue; set a lock_timeout before.
CREATE FUNCTION view_rebuild_swap(view text) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    live    CONSTANT regclass := view_rebuild_live(view);
    shadow  CONSTANT regclass := format('%I.%I', current_schema(), view || '_rebuild')::regclass;
    owner   text;
    options text;
    command text;
    names   text[];
BEGIN
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', live);
    PERFORM view_rebuild_check(view);
    IF EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = live AND NOT EXISTS (
            SELECT FROM pg_class k JOIN pg_index s ON s.indexrelid = k.oid
             WHERE s.indrelid = shadow AND k.relname = 'rebuild_' || i.indexrelid::oid))
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('table %s got an index while it was rebuilt', live),
            HINT = 'The rebuild starts again by itself.';
    END IF;

    SELECT pg_get_userbyid(c.relowner), array_to_string(c.reloptions, ', ') INTO owner, options FROM pg_class c WHERE c.oid = live;
    IF options IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %s SET (%s)', shadow, options);
    END IF;
    PERFORM view_rebuild_grant(live, shadow);
    FOR command IN
        SELECT format('COMMENT ON TABLE %s IS %L', shadow, obj_description(live, 'pg_class'))
        UNION ALL
        SELECT format('COMMENT ON INDEX %I IS %L', 'rebuild_' || i.indexrelid::oid, obj_description(i.indexrelid, 'pg_class'))
          FROM pg_index i WHERE i.indrelid = live AND obj_description(i.indexrelid, 'pg_class') IS NOT NULL
        UNION ALL
        -- An index that was dropped on the live table since.
        SELECT format('DROP INDEX %s', s.indexrelid::regclass)
          FROM pg_index s JOIN pg_class k ON k.oid = s.indexrelid
         WHERE s.indrelid = shadow AND NOT EXISTS (
             SELECT FROM pg_index i WHERE i.indrelid = live AND k.relname = 'rebuild_' || i.indexrelid::oid)
    LOOP
        EXECUTE command;
    END LOOP;
    IF owner <> current_user THEN
        EXECUTE format('ALTER TABLE %s OWNER TO %I', shadow, owner);
    END IF;

    SELECT array_agg(format('ALTER INDEX %I RENAME TO %I', 'rebuild_' || i.indexrelid::oid, k.relname))
      INTO names FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid WHERE i.indrelid = live;
    EXECUTE format('DROP TABLE %s', live);
    EXECUTE format('ALTER TABLE %s RENAME TO %I', shadow, view);
    FOREACH command IN ARRAY names LOOP
        EXECUTE command; -- renames a constraint with its index
    END LOOP;
END
$$;
COMMENT ON FUNCTION view_rebuild_swap IS 'Part of rebuilding a view: puts <view>_rebuild in the place of the live table.';

--bun:split

REVOKE ALL ON FUNCTION view_rebuild_live, view_rebuild_grant, view_rebuild_create, view_rebuild_check, view_rebuild_index,
    view_rebuild_swap FROM PUBLIC;
