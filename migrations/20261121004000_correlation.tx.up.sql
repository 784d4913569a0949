-- Finds the events of one story in the order of the log. Why partial: an event
-- without a correlation_id is not in it and costs next to nothing.
CREATE INDEX events_correlation_id_idx ON events ((metadata ->> 'correlation_id'), "position")
    WHERE metadata ->> 'correlation_id' IS NOT NULL;
