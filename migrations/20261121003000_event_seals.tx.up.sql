-- Seals: SHA-256 over ranges of the log, each over the one before, so that a
-- changed event no longer fits what was sealed. The form that is hashed is
-- documented in package eventstore (seal.go), whose code computes it a second
-- time, from the data and without this function, when the log is verified.

-- Why: see the first migration. seal_events runs as its owner.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

--bun:split

-- The hash of one event, over everything it consists of. Auditors can call it:
-- SELECT event_digest(e) FROM events e.
CREATE FUNCTION event_digest(e events) RETURNS bytea
-- Why not IMMUTABLE, which it is: text of json counts as STABLE, and PostgreSQL
-- inlines no function that promises more than its body. Inlined it takes 4 µs,
-- called 26.
LANGUAGE sql STABLE PARALLEL SAFE
-- Why RETURN and not a string: what the names mean is settled now, whatever the
-- search_path of a later caller says.
RETURN sha256(
       int8send(e."position") || timestamptz_send(e.recorded_at) || uuid_send(e.id) || uuid_send(e.aggregate_id)
    || int4send(e.version) || int4send(e.schema_version)
    || int4send(octet_length(e.name))           || convert_to(e.name, 'UTF8')
    || int4send(octet_length(e.actor))          || convert_to(e.actor, 'UTF8')
    || int4send(octet_length(e.payload::text))  || convert_to(e.payload::text, 'UTF8')
    || int4send(octet_length(e.metadata::text)) || convert_to(e.metadata::text, 'UTF8'));
COMMENT ON FUNCTION event_digest IS 'SHA-256 of the canonical bytes of one event; what seals are made of.';

--bun:split

CREATE TABLE event_seals (
    number         bigint      NOT NULL,
    first_position bigint      NOT NULL,
    last_position  bigint      NOT NULL,
    sealed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    previous       bytea       NOT NULL,
    hash           bytea       NOT NULL,
    -- The first 8 bytes of each event's digest. They prove nothing, the hash
    -- does; they tell which event of a broken range is the changed one, for 3 %
    -- of what the events take.
    digests        bytea       NOT NULL,
    CONSTRAINT event_seals_pkey PRIMARY KEY (number),
    CONSTRAINT event_seals_range_check CHECK (last_position >= first_position OR number = 0),
    CONSTRAINT event_seals_hash_check CHECK (octet_length(previous) = 32 AND octet_length(hash) = 32),
    CONSTRAINT event_seals_digests_check CHECK (octet_length(digests) = 8 * (last_position - first_position + 1))
);
COMMENT ON TABLE event_seals IS
    'The chain of seals over the log. Seal 0 covers nothing and begins the chain; its row lock decides who seals. Written only through seal_events.';
INSERT INTO event_seals (number, first_position, last_position, previous, hash, digests)
VALUES (0, 1, 0, sha256(''), sha256(''), '');

CREATE TRIGGER event_seals_refuse_change
    BEFORE UPDATE OR DELETE OR TRUNCATE ON event_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_history();
ALTER TABLE event_seals ENABLE ALWAYS TRIGGER event_seals_refuse_change;

--bun:split

-- Why the database hashes and not the server: a server may then seal what is
-- there but cannot write a seal of its own making, and no event crosses the
-- network for it.
--
-- Why digests of digests: the memory is 32 bytes per event, however large the
-- payloads are.
CREATE FUNCTION seal_events(
    range_size integer  DEFAULT 1000,
    patience   interval DEFAULT '1 minute',
    at_most    integer  DEFAULT 20
) RETURNS TABLE (
    seals           integer,
    sealed_position bigint,
    head_position   bigint
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    last     event_seals;
    head     bigint;
    due      bigint;  -- seal up to here
    counted  bigint;
    leaves   bytea;   -- the digests of a range
    prefixes bytea;
    made     integer := 0;
BEGIN
    -- In this order, because another replica may be sealing.
    SELECT * INTO last FROM event_seals s ORDER BY s.number DESC LIMIT 1;
    SELECT h."position" INTO head FROM event_log_head h;
    IF last.last_position > head THEN
        RAISE EXCEPTION USING
            ERRCODE = 'data_corrupted',
            MESSAGE = format('the log is sealed up to position %s and ends at %s', last.last_position, head),
            HINT = 'The log was tampered with or is damaged: run app verify.';
    END IF;
    due := last.last_position + (head - last.last_position) / range_size * range_size;
    -- What does not fill a range waits for more, but not longer than patience.
    IF due < head AND EXISTS (
        SELECT FROM events e WHERE e."position" = due + 1 AND e.recorded_at < clock_timestamp() - patience)
    THEN
        due := head;
    END IF;
    IF due > last.last_position THEN
        -- One replica seals. The others do not wait: there is nothing left to do.
        PERFORM FROM event_seals s WHERE s.number = 0 FOR NO KEY UPDATE SKIP LOCKED;
        IF NOT found THEN
            due := last.last_position;
        END IF;
        -- Another replica may have sealed between the look and the lock.
        SELECT * INTO last FROM event_seals s ORDER BY s.number DESC LIMIT 1;
    END IF;
    WHILE last.last_position < due AND made < at_most LOOP
        last.first_position := last.last_position + 1;
        last.last_position := least(last.last_position + range_size, due);
        last.number := last.number + 1;
        last.previous := last.hash;
        -- Why OFFSET 0: without it each digest is computed for each of the two.
        SELECT count(*), string_agg(d.digest, '' ORDER BY d."position"), string_agg(substr(d.digest, 1, 8), '' ORDER BY d."position")
          INTO counted, leaves, prefixes
          FROM (SELECT e."position", event_digest(e) AS digest FROM events e
                 WHERE e."position" BETWEEN last.first_position AND last.last_position OFFSET 0) d;
        IF counted <> last.last_position - last.first_position + 1 THEN
            RAISE EXCEPTION USING
                ERRCODE = 'data_corrupted',
                MESSAGE = format('positions %s to %s hold %s events', last.first_position, last.last_position, counted),
                HINT = 'The log was tampered with or is damaged: run app verify.';
        END IF;
        last.hash := sha256(int8send(last.number) || int8send(last.first_position) || int8send(last.last_position) || last.previous || leaves);
        INSERT INTO event_seals (number, first_position, last_position, previous, hash, digests)
        VALUES (last.number, last.first_position, last.last_position, last.previous, last.hash, prefixes);
        made := made + 1;
    END LOOP;
    RETURN QUERY SELECT made, last.last_position, head;
END
$$;
COMMENT ON FUNCTION seal_events IS
$$Seals what is due and not sealed yet, at most at_most ranges; the only way to write event_seals.

A range of range_size events is sealed as soon as it is full, what is left when
its first event is older than patience. Answers how many seals were made, the
last position that is sealed and the head of the log. Safe to call from
everywhere at once: one caller seals, the others make no seal.$$;
REVOKE ALL ON FUNCTION seal_events FROM PUBLIC;
