-- The view of the users domain: one row per living user.
CREATE TABLE users (
    id         uuid        NOT NULL,
    name       text        NOT NULL,
    email      text        NOT NULL,
    version    integer     NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (id)
);

-- One index per order that GET /v1/users offers, each ending in the id that
-- makes the order total. The name's index also finds prefixes in any case.
CREATE INDEX users_created_at_idx ON users (created_at, id);
CREATE INDEX users_updated_at_idx ON users (updated_at, id);
CREATE INDEX users_name_idx ON users (lower(name) COLLATE "C", id);
CREATE INDEX users_email_idx ON users (lower(email));
