DROP INDEX events_correlation_id_idx;
