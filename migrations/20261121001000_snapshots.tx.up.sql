-- States of aggregates, so that a command need not fold a long history from its
-- first event. A cache: delete what you like, at any time.
CREATE TABLE snapshots (
    aggregate_id uuid        NOT NULL,
    version      integer     NOT NULL,
    schema       text        NOT NULL,
    -- Why json: it is read back as it was written, and never searched.
    state        json        NOT NULL,
    taken_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT snapshots_pkey PRIMARY KEY (aggregate_id),
    CONSTRAINT snapshots_version_check CHECK (version > 0)
);
COMMENT ON TABLE snapshots IS
    'A cache: the state that the write model of an aggregate has after a version. A state of another schema than the program''s is ignored. Deleting rows loses nothing.';
