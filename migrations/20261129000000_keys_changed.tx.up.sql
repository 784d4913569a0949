-- Says when a key may open less than it did, so that servers, which remember what
-- a key opens for some seconds, look again at once. Why a trigger: it tells also
-- what an operator does in SQL.
CREATE FUNCTION api_keys_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('keys:changed', '');
    RETURN NULL;
END
$$;

--bun:split

CREATE TRIGGER api_keys_notify_changed AFTER DELETE OR UPDATE OF name, hash, scopes, expires_at, revoked_at ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION api_keys_notify();
