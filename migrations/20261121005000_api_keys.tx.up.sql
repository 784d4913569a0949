-- The keys that callers present with APP_AUTH=keys.
CREATE TABLE api_keys (
    name         text        NOT NULL,
    -- Why a hash without salt or stretching: a key is 130 random bits, so there
    -- is no dictionary to try, and a request can be looked up by it.
    hash         bytea       NOT NULL,
    scopes       text[]      NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    -- Why the name is the key of the table, for ever: events say key:<name>, and
    -- that must not come to mean somebody else. A revoked name stays taken.
    CONSTRAINT api_keys_pkey PRIMARY KEY (name),
    CONSTRAINT api_keys_hash_key UNIQUE (hash),
    CONSTRAINT api_keys_name_check CHECK (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    CONSTRAINT api_keys_hash_check CHECK (octet_length(hash) = 32),
    CONSTRAINT api_keys_scopes_check CHECK (cardinality(scopes) > 0)
);
COMMENT ON TABLE api_keys IS
    'Keys for the API. hash is the SHA-256 of the key, which itself is stored nowhere. last_used_at is written about once a minute.';
