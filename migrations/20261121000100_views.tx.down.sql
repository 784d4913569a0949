DROP TABLE view_parked, view_locks, view_positions;
