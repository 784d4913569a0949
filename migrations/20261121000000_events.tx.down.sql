-- Undoes the log only while it is empty: a store of record is not dropped by a
-- slip of the hand. Drop the database to really be rid of it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM events) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'restrict_violation',
            MESSAGE = 'the log holds events and this would delete them for ever',
            HINT = 'Export them and drop the database if that is what you want.';
    END IF;
END
$$;

--bun:split

DROP TABLE events, event_log_head, event_types;
DROP FUNCTION append_events, append_events_one_by_one, append_event, register_event_types, notify_events_created, refuse_change_of_history;
