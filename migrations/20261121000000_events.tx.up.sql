-- The log: one append-only table, one writer function, one trigger that says
-- "something came". Everything else in this database can be rebuilt from it.

-- Why: functions keep this path (SET search_path FROM CURRENT), and those that run
-- as their owner must look for temporary objects last. Where pg_temp is not named it
-- comes first, and a caller's temporary table could stand in for the log.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

--bun:split

-- What may be appended. A server registers its events when it starts, so that
-- append_events needs no more than a name to know what an event does to its
-- aggregate's life, also for callers that are not this server.
CREATE TABLE event_types (
    name           text    NOT NULL,
    schema_version integer NOT NULL,
    lifecycle      text    NOT NULL,
    aggregate      text    NOT NULL GENERATED ALWAYS AS (split_part(name, '.', 1)) STORED,
    CONSTRAINT event_types_pkey PRIMARY KEY (name),
    CONSTRAINT event_types_name_check CHECK (name ~ '^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$'),
    CONSTRAINT event_types_schema_version_check CHECK (schema_version > 0),
    CONSTRAINT event_types_lifecycle_check CHECK (lifecycle IN ('creates', 'changes', 'ends', 'restores'))
);
COMMENT ON TABLE event_types IS
    'Catalogue of the events that may be appended. lifecycle: creates an aggregate, changes a living one, ends it, or restores one that may have ended.';

CREATE TABLE events (
    -- Wide fixed-size columns first: no padding between them.
    "position"     bigint      NOT NULL,
    recorded_at    timestamptz NOT NULL,
    id             uuid        NOT NULL,
    aggregate_id   uuid        NOT NULL,
    version        integer     NOT NULL,
    schema_version integer     NOT NULL,
    aggregate      text        NOT NULL GENERATED ALWAYS AS (split_part(name, '.', 1)) STORED,
    name           text        NOT NULL,
    actor          text        NOT NULL,
    -- Why json and not jsonb: it keeps what the client sent to the byte (seals
    -- hash it), a number such as 1e9999 cannot blow up when read, and it
    -- appends 16 % faster. Comparisons cast it.
    payload        json        NOT NULL,
    metadata       jsonb       NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY ("position"),
    CONSTRAINT events_id_key UNIQUE (id),
    -- Why there is no table of aggregate heads: this index answers "which
    -- version is next" and refuses a second one; an upsert per aggregate
    -- instead costs 25-30 % of the append rate.
    CONSTRAINT events_aggregate_id_version_key UNIQUE (aggregate_id, version)
);
COMMENT ON TABLE events IS
    'The append-only log. Positions are 1..N without gaps in commit order; versions are 1..n without gaps per aggregate. Written only through append_events.';

-- One row: the last position given out and its time. Its row lock is what puts
-- appends in order: it is released when the commit is visible, so position
-- order, commit order and what any reader sees are the same.
CREATE TABLE event_log_head (
    singleton   boolean     NOT NULL DEFAULT true,
    "position"  bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT event_log_head_pkey PRIMARY KEY (singleton),
    CONSTRAINT event_log_head_singleton_check CHECK (singleton)
);
INSERT INTO event_log_head ("position", recorded_at) VALUES (0, '-infinity');

--bun:split

-- Why SECURITY DEFINER: a role that may append needs EXECUTE on this function
-- and no right at all on the tables. Why the settings: a custom plan for each
-- call costs 0.2 ms of planning, a generic one made while the table was small
-- would keep its sequential scan, and JIT takes that scan's prohibitive cost
-- for a long query (38 ms). They cost nothing that could be measured.
CREATE FUNCTION append_events(
    ids               uuid[],
    aggregate_ids     uuid[],
    names             text[],
    payloads          json[],
    expected_versions integer[] DEFAULT NULL,
    metadata          jsonb[]   DEFAULT NULL,
    actors            text[]    DEFAULT NULL,
    schema_versions   integer[] DEFAULT NULL,
    requests          integer[] DEFAULT NULL
) RETURNS TABLE (
    ordinal     integer,
    outcome     text,
    version     integer,
    "position"  bigint,
    recorded_at timestamptz
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    n        CONSTANT integer := cardinality(ids);
    base     bigint;
    moment   timestamptz;
    versions integer[];
BEGIN
    -- From here to the commit this transaction is the only writer. Each
    -- statement below starts after the lock was granted and so sees all that
    -- was committed before.
    UPDATE event_log_head h
       SET "position" = h."position" + n, recorded_at = greatest(h.recorded_at, clock_timestamp())
    RETURNING h."position" - n, h.recorded_at INTO base, moment;

    -- The fast path: all is as the callers expect, so one INSERT does. What is
    -- not makes it fail as a whole: a taken id or version by its index, a
    -- broken rule by the NULL version. Why the detour through an array: RETURN
    -- QUERY hands out rows as they come, also those of an INSERT that fails.
    WITH inserted AS (
        INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
        SELECT base + i.ordinal, moment, i.id, i.aggregate_id,
               CASE
                   WHEN i.expected <> coalesce(last.version, 0) + i.nth - 1 THEN NULL
                   WHEN coalesce(i.before_aggregate, last.aggregate, i.aggregate) <> i.aggregate THEN NULL
                   WHEN i.lifecycle = 'creates' AND i.nth > 1 THEN NULL
                   WHEN i.lifecycle <> 'creates' AND i.nth = 1 AND last.version IS NULL THEN NULL
                   WHEN i.lifecycle <> 'restores' AND coalesce(i.before_lifecycle, last.lifecycle) = 'ends' THEN NULL
                   ELSE coalesce(last.version, 0) + i.nth
               END,
               coalesce(i.schema_version, i.catalogue_version), i.name, coalesce(i.actor, 'anonymous'),
               i.payload, coalesce(i.metadata, '{}')
          FROM (
            SELECT u.*, t.lifecycle, t.aggregate, t.schema_version AS catalogue_version,
                   row_number() OVER earlier AS nth,
                   lag(t.lifecycle) OVER earlier AS before_lifecycle,
                   lag(t.aggregate) OVER earlier AS before_aggregate
              FROM unnest(ids, aggregate_ids, names, payloads, expected_versions, metadata, actors, schema_versions)
                   WITH ORDINALITY AS u (id, aggregate_id, name, payload, expected, metadata, actor, schema_version, ordinal)
              LEFT JOIN event_types t ON t.name = u.name
            WINDOW earlier AS (PARTITION BY u.aggregate_id ORDER BY u.ordinal)
          ) i
          LEFT JOIN LATERAL (
            SELECT l.version, l.aggregate, t.lifecycle
              FROM events l LEFT JOIN event_types t ON t.name = l.name
             -- Why the first condition: creating needs no look-up, the unique
             -- index on (aggregate_id, version) refuses a second version 1.
             WHERE i.lifecycle <> 'creates' AND l.aggregate_id = i.aggregate_id
             ORDER BY l.version DESC
             LIMIT 1
          ) last ON true
        RETURNING version, "position"
    )
    SELECT array_agg(i.version ORDER BY i."position") INTO versions FROM inserted i;
    RETURN QUERY SELECT v.ordinal::integer, 'appended', v.version, base + v.ordinal, moment
        FROM unnest(versions) WITH ORDINALITY AS v (version, ordinal);
EXCEPTION
    WHEN unique_violation OR not_null_violation THEN
        RETURN QUERY SELECT * FROM append_events_one_by_one(
            ids, aggregate_ids, names, payloads, expected_versions, metadata, actors, schema_versions, requests);
END
$$;
COMMENT ON FUNCTION append_events IS
$$Appends events to the log; the only way to write it.

The arrays are parallel, one element per event, in the order to append. Optional
arrays may be NULL, and so may their elements: expected_versions (the version
of the aggregate before this event; 0 = it does not exist), metadata (default {}),
actors (default anonymous), schema_versions (default: the catalogue's), and
requests: events with the same number stand or fall together and have to be
neighbours; NULL makes the call one request. A refused request leaves no trace
and does not touch its neighbours.

Answers one row per event of an accepted request: ordinal (1-based index into the
arrays), outcome 'appended', or 'duplicate' for an id that was recorded before
with the same aggregate, name and payload (as jsonb), and the version, position
and time under which it is recorded. A refused request has one row: the ordinal of the
event that was refused, version = the aggregate's version before that event, and
the outcome:
  event-id-reused    the id is recorded with something else
  version-conflict   expected_versions differs
  aggregate-exists   the event creates an aggregate that exists
  aggregate-missing  the event changes one that was never created
  aggregate-deleted  the event changes one that has ended
  unknown-event      the name is not in event_types

Holds the lock of event_log_head until the transaction ends: commit at once.

  SELECT * FROM append_events(
    ids => ARRAY['0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01']::uuid[],
    aggregate_ids => ARRAY['0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01']::uuid[],
    names => ARRAY['user.created'],
    payloads => ARRAY['{"name":"Ada Lovelace","email":"ada@example.com"}']::json[],
    actors => ARRAY['psql']);$$;

--bun:split

-- The careful path: ids first, then versions, request by request, each in a
-- savepoint of its own. Runs only when the fast path met something unusual.
CREATE FUNCTION append_events_one_by_one(
    ids               uuid[],
    aggregate_ids     uuid[],
    names             text[],
    payloads          json[],
    expected_versions integer[],
    metadata          jsonb[],
    actors            text[],
    schema_versions   integer[],
    requests          integer[]
) RETURNS TABLE (
    ordinal     integer,
    outcome     text,
    version     integer,
    "position"  bigint,
    recorded_at timestamptz
)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    n        CONSTANT integer := cardinality(ids);
    head     bigint;    -- the last position given out
    moment   timestamptz;
    first    integer := 1;
    final    integer;   -- the last event of the request that starts at first
    before   bigint;    -- head before that request
    answers  jsonb;
    answer   jsonb;
BEGIN
    UPDATE event_log_head h
       SET recorded_at = greatest(h.recorded_at, clock_timestamp())
    RETURNING h."position", h.recorded_at INTO head, moment;

    WHILE first <= n LOOP
        final := first;
        WHILE final < n AND requests[final + 1] IS NOT DISTINCT FROM requests[first] LOOP
            final := final + 1;
        END LOOP;
        before := head;
        answers := '[]';
        BEGIN
            FOR i IN first .. final LOOP
                answer := append_event(ids[i], aggregate_ids[i], names[i], payloads[i], expected_versions[i],
                    metadata[i], actors[i], schema_versions[i], head + 1, moment) || jsonb_build_object('ordinal', i);
                answers := answers || answer;
                IF answer ->> 'outcome' = 'appended' THEN
                    head := head + 1;
                ELSIF answer ->> 'outcome' <> 'duplicate' THEN
                    RAISE EXCEPTION USING ERRCODE = 'OP001', MESSAGE = 'request refused';
                END IF;
            END LOOP;
        EXCEPTION WHEN SQLSTATE 'OP001' THEN
            head := before;
            answers := jsonb_build_array(answer);
        END;
        RETURN QUERY SELECT a.ordinal, a.outcome, a.version, a."position", a.recorded_at
            FROM jsonb_to_recordset(answers) AS a (
                ordinal integer, outcome text, version integer, "position" bigint, recorded_at timestamptz);
        first := final + 1;
    END LOOP;

    UPDATE event_log_head h SET "position" = head;
END
$$;
COMMENT ON FUNCTION append_events_one_by_one IS 'Part of append_events. Not to be called by itself.';

--bun:split

-- One event against the present state: recorded, or told why not.
CREATE FUNCTION append_event(
    new_id         uuid,
    new_aggregate  uuid,
    new_name       text,
    new_payload    json,
    expected       integer,
    new_metadata   jsonb,
    new_actor      text,
    new_schema     integer,
    new_position   bigint,
    new_time       timestamptz
) RETURNS jsonb
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
DECLARE
    kind    event_types;
    known   events;
    last    events;
    current integer;
    refusal text;
BEGIN
    SELECT * INTO known FROM events e WHERE e.id = new_id;
    IF found THEN
        IF known.aggregate_id = new_aggregate AND known.name = new_name AND known.payload::jsonb = new_payload::jsonb THEN
            RETURN jsonb_build_object('outcome', 'duplicate', 'version', known.version,
                'position', known."position", 'recorded_at', known.recorded_at);
        END IF;
        RETURN jsonb_build_object('outcome', 'event-id-reused', 'version', known.version);
    END IF;

    SELECT * INTO kind FROM event_types t WHERE t.name = new_name;
    SELECT * INTO last FROM events e WHERE e.aggregate_id = new_aggregate ORDER BY e.version DESC LIMIT 1;
    current := coalesce(last.version, 0);
    refusal := CASE
        WHEN kind.name IS NULL THEN 'unknown-event'
        WHEN expected <> current THEN 'version-conflict'
        WHEN current = 0 AND kind.lifecycle <> 'creates' THEN 'aggregate-missing'
        WHEN current > 0 AND last.aggregate <> kind.aggregate AND kind.lifecycle <> 'creates' THEN 'aggregate-missing'
        WHEN current > 0 AND kind.lifecycle <> 'restores'
             AND EXISTS (SELECT FROM event_types t WHERE t.name = last.name AND t.lifecycle = 'ends') THEN 'aggregate-deleted'
        WHEN current > 0 AND kind.lifecycle = 'creates' THEN 'aggregate-exists'
    END;
    IF refusal IS NOT NULL THEN
        RETURN jsonb_build_object('outcome', refusal, 'version', current);
    END IF;

    INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
    VALUES (new_position, new_time, new_id, new_aggregate, current + 1, coalesce(new_schema, kind.schema_version), new_name,
            coalesce(new_actor, 'anonymous'), new_payload, coalesce(new_metadata, '{}'));
    RETURN jsonb_build_object('outcome', 'appended', 'version', current + 1, 'position', new_position, 'recorded_at', new_time);
END
$$;
COMMENT ON FUNCTION append_event IS 'Part of append_events. Not to be called by itself.';

--bun:split

-- Why a function: a server adds its events when it starts, and must not have the
-- right to change what others may rely on.
CREATE FUNCTION register_event_types(names text[], schema_versions integer[], lifecycles text[]) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    -- Who calls, past SECURITY DEFINER: the role that was set, or who logged in.
    caller CONSTANT text := coalesce(nullif(current_setting('role'), 'none'), session_user);
    other  record;
BEGIN
    IF NOT has_table_privilege(caller, 'event_types', 'UPDATE') THEN
        SELECT t.name, t.lifecycle AS is, u.lifecycle AS wanted INTO other
          FROM unnest(names, lifecycles) AS u (name, lifecycle)
          JOIN event_types t ON t.name = u.name
         WHERE t.lifecycle <> u.lifecycle LIMIT 1;
        IF found THEN
            RAISE EXCEPTION USING
                ERRCODE = 'insufficient_privilege',
                MESSAGE = format('event %s %s an aggregate in event_types and %s it in this program', other.name, other.is, other.wanted),
                HINT = 'What an event does to the life of its aggregate is changed by the owner of the log: UPDATE event_types.';
        END IF;
    END IF;
    INSERT INTO event_types AS t (name, schema_version, lifecycle)
    SELECT u.* FROM unnest(names, schema_versions, lifecycles) AS u (name, schema_version, lifecycle)
     ORDER BY u.name -- two servers that start at once lock in one order
        ON CONFLICT (name) DO UPDATE SET schema_version = EXCLUDED.schema_version, lifecycle = EXCLUDED.lifecycle
     WHERE t.schema_version <= EXCLUDED.schema_version
       AND (t.schema_version, t.lifecycle) <> (EXCLUDED.schema_version, EXCLUDED.lifecycle);
END
$$;
COMMENT ON FUNCTION register_event_types IS
$$Adds events to event_types and raises their schema versions; the arrays are parallel.

A schema version is never lowered. The lifecycle of an event that is there already
is changed only for callers that may UPDATE event_types themselves; the others are
refused with insufficient_privilege.$$;

--bun:split

-- A function is executable by everybody unless this is said.
REVOKE ALL ON FUNCTION append_events, append_events_one_by_one, append_event, register_event_types FROM PUBLIC;

--bun:split

-- The hint that wakes listeners. A transaction's notifications are sent at its
-- commit, so who hears one can read the event. Why at most 100 a statement: a
-- hint only has to say "look", and each one is work for every listener.
CREATE FUNCTION notify_events_created() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    PERFORM pg_notify('events:created', concat_ws(',', c.id, c."position", c.aggregate_id))
       FROM created c
      WHERE (SELECT count(*) FROM created) <= 100 OR c."position" = (SELECT max(m."position") FROM created m)
      ORDER BY c."position";
    RETURN NULL;
END
$$;

--bun:split

CREATE TRIGGER events_notify_created
    AFTER INSERT ON events
    REFERENCING NEW TABLE AS created
    FOR EACH STATEMENT EXECUTE FUNCTION notify_events_created();

--bun:split

-- What happened, happened: also for the table's owner, and also in a session
-- that pretends to be a replica (ENABLE ALWAYS).
CREATE FUNCTION refuse_change_of_history() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = format('%s of table %s is refused: recorded events never change', tg_op, tg_table_name),
        HINT = 'Append an event that corrects the earlier one.';
END
$$;

--bun:split

CREATE TRIGGER events_refuse_change
    BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_history();
ALTER TABLE events ENABLE ALWAYS TRIGGER events_refuse_change;
