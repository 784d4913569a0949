-- Refuses while there are seals: made anew they would have other ranges, and a
-- seal that somebody kept outside would not be found any more.
DO $$
BEGIN
    IF EXISTS (SELECT FROM event_seals WHERE number > 0) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'restrict_violation',
            MESSAGE = 'the log is sealed and this would delete the seals for ever',
            HINT = 'Drop the database to really be rid of them.';
    END IF;
END
$$;

--bun:split

DROP TABLE event_seals;
DROP FUNCTION seal_events, event_digest;
