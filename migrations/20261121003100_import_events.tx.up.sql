-- The other way into the log: events that another log has recorded already, with
-- the positions, versions and times they got there.
CREATE FUNCTION import_events(
    positions       bigint[],
    times           timestamptz[],
    ids             uuid[],
    aggregate_ids   uuid[],
    versions        integer[],
    schema_versions integer[],
    names           text[],
    actors          text[],
    payloads        json[],
    metadata        jsonb[]
) RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    n     CONSTANT integer := cardinality(ids);
    head  event_log_head;
    wrong record;
BEGIN
    SELECT * INTO head FROM event_log_head;
    -- Why the condition: what is known already needs no lock, so that repeating
    -- an import beside a running server holds up nobody.
    IF positions[n] > head."position" THEN
        SELECT * INTO head FROM event_log_head FOR NO KEY UPDATE;
    END IF;

    SELECT u.ordinal INTO wrong FROM unnest(positions) WITH ORDINALITY AS u ("position", ordinal)
     WHERE u."position" IS DISTINCT FROM positions[1] + u.ordinal - 1 ORDER BY u.ordinal LIMIT 1;
    IF found THEN
        RAISE EXCEPTION USING ERRCODE = 'OP002', MESSAGE = format('position %s does not follow position %s',
            positions[wrong.ordinal], positions[wrong.ordinal - 1]);
    END IF;
    IF positions[1] < 1 OR positions[1] > head."position" + 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'OP002', MESSAGE = format('position %s does not follow the end of this log, position %s',
            positions[1], head."position");
    END IF;

    -- What this log has at these positions must be the same.
    SELECT i."position", i.id INTO wrong
      FROM unnest(positions, times, ids, aggregate_ids, versions, schema_versions, names, actors, payloads, metadata)
           AS i ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
      LEFT JOIN events e ON e."position" = i."position"
     WHERE i."position" <= head."position"
       AND (i.recorded_at, i.id, i.aggregate_id, i.version, i.schema_version, i.name, i.actor, i.payload::jsonb, i.metadata)
           IS DISTINCT FROM (e.recorded_at, e.id, e.aggregate_id, e.version, e.schema_version, e.name, e.actor, e.payload::jsonb, e.metadata)
     ORDER BY i."position" LIMIT 1;
    IF found THEN
        RAISE EXCEPTION USING ERRCODE = 'OP002', MESSAGE = format('position %s of this log holds something else than event %s',
            wrong."position", wrong.id);
    END IF;
    IF positions[n] <= head."position" THEN
        RETURN 0;
    END IF;

    -- What is new must obey the rules that append_events keeps.
    SELECT c."position", c.id, c.reason INTO wrong FROM (
        SELECT i."position", i.id, CASE
                   WHEN i.catalogue_version IS NULL THEN 'is a ' || i.name || ', which is not in event_types'
                   WHEN i.schema_version NOT BETWEEN 1 AND i.catalogue_version THEN 'has a schema version that event_types does not have'
                   WHEN coalesce(jsonb_typeof(i.payload::jsonb), '') <> 'object' OR coalesce(jsonb_typeof(i.metadata), '') <> 'object'
                       THEN 'has a payload or metadata that is not a JSON object'
                   WHEN i.recorded_at < coalesce(i.before_time, (SELECT e.recorded_at FROM events e WHERE e."position" = i."position" - 1))
                       THEN 'was recorded before the one it follows'
                   -- Times never fall, so one from the future would stay on all later events.
                   WHEN i.recorded_at IS NULL OR i.recorded_at > clock_timestamp() + interval '1 hour' THEN 'was recorded in the future'
                   WHEN i.version IS DISTINCT FROM coalesce(i.before_version, last.version, 0) + 1
                       THEN format('has version %s, and its aggregate is at %s', i.version, coalesce(i.before_version, last.version, 0))
                   WHEN coalesce(i.before_aggregate, last.aggregate, i.aggregate) <> i.aggregate THEN 'is about an aggregate of another kind'
                   WHEN (i.lifecycle = 'creates') <> (i.version = 1) THEN 'does not fit the life of its aggregate'
                   WHEN i.lifecycle <> 'restores' AND coalesce(i.before_lifecycle, last.lifecycle) = 'ends' THEN 'comes after the end of its aggregate'
               END AS reason
          FROM (
            SELECT u.*, t.schema_version AS catalogue_version, t.aggregate, t.lifecycle,
                   lag(u.recorded_at) OVER (ORDER BY u."position") AS before_time,
                   lag(u.version) OVER earlier AS before_version,
                   lag(t.aggregate) OVER earlier AS before_aggregate,
                   lag(t.lifecycle) OVER earlier AS before_lifecycle
              FROM unnest(positions, times, ids, aggregate_ids, versions, schema_versions, names, payloads, metadata)
                   AS u ("position", recorded_at, id, aggregate_id, version, schema_version, name, payload, metadata)
              LEFT JOIN event_types t ON t.name = u.name
            WINDOW earlier AS (PARTITION BY u.aggregate_id ORDER BY u."position")
          ) i
          LEFT JOIN LATERAL (
            SELECT l.version, l.aggregate, t.lifecycle
              FROM events l LEFT JOIN event_types t ON t.name = l.name
             WHERE i.before_version IS NULL AND i.version > 1 AND l.aggregate_id = i.aggregate_id
             ORDER BY l.version DESC LIMIT 1
          ) last ON true
         WHERE i."position" > head."position") c
     WHERE c.reason IS NOT NULL ORDER BY c."position" LIMIT 1;
    IF found THEN
        RAISE EXCEPTION USING ERRCODE = 'OP002', MESSAGE = format('event %s at position %s %s', wrong.id, wrong."position", wrong.reason);
    END IF;

    INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
    SELECT i.* FROM unnest(positions, times, ids, aggregate_ids, versions, schema_versions, names, actors, payloads, metadata)
           AS i ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
     WHERE i."position" > head."position";
    UPDATE event_log_head h SET "position" = positions[n], recorded_at = greatest(h.recorded_at, times[n]);
    RETURN positions[n] - head."position";
END
$$;
COMMENT ON FUNCTION import_events IS
$$Takes over events that another log has recorded, as they are; app events import calls it.

The arrays are parallel and in the order of positions. An event at a position
that this log has must be the same (payloads compare as jsonb); the others must
continue the log and keep all its rules. Otherwise nothing is written and the
error, SQLSTATE OP002, names the first position in the way. Answers how many
events were new. Holds the lock of event_log_head, if any is, until the
transaction ends. For the owner of the log only: it writes times and actors that
nobody can check.$$;
REVOKE ALL ON FUNCTION import_events FROM PUBLIC;
