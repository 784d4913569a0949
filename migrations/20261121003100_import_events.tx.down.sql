DROP FUNCTION import_events;
