DROP TRIGGER api_keys_notify_changed ON api_keys;

--bun:split

DROP FUNCTION api_keys_notify;
