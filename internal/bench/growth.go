package bench

import (
	"context"
	"fmt"
	"strconv"
)

// prepareGrowth asks whether appending gets slower as the log grows, and what an
// event costs on disk.
func prepareGrowth(ctx context.Context, s *stage) ([]subject, error) {
	empty, err := s.program(ctx, "empty")
	if err != nil {
		return nil, err
	}
	const clients, small = 64, "append at empty"
	subjects := []subject{{
		name: small, what: "64 clients", unit: perSecond, run: s.appending(empty, clients, 1), point: at(seriesStored, 0),
	}}
	var grown *server
	for _, stored := range []int{s.options.Stored / 100, s.options.Stored / 10, s.options.Stored} {
		if grown, err = s.programWithUsers(ctx, "grown_"+strconv.Itoa(stored), stored); err != nil {
			return nil, err
		}
		subjects = append(subjects, subject{
			name: "append at " + number(float64(stored)), what: "64 clients", unit: perSecond,
			checks: []check{versus(small).least(0.85)}, run: s.appending(grown, clients, 1),
			point: at(seriesStored, stored),
		})
	}
	return append(subjects, storage(grown)...), nil
}

// storage gives a subject for each table and index that events take room in.
func storage(grown *server) []subject {
	var subjects []subject
	for _, part := range []struct{ name, what, sql string }{
		{"event", "the log's table and indexes", "pg_total_relation_size('events')"},
		{"event: table", "the row itself", "pg_table_size('events')"},
		{"event: by position", "primary key", "pg_relation_size('events_pkey')"},
		{"event: by id", "what makes repeating safe", "pg_relation_size('events_id_key')"},
		{"event: by aggregate", "versions", "pg_relation_size('events_aggregate_id_version_key')"},
		{"lock", "view_locks, one for each view and aggregate", "pg_total_relation_size('view_locks')"},
		{"row", "the users view with its indexes", "pg_total_relation_size('users')"},
	} {
		subjects = append(subjects, subject{
			name: part.name, what: "storage: " + part.what, unit: bytesEach,
			run: func(ctx context.Context) (sample, error) {
				var each float64
				query := "SELECT " + part.sql + `::float8 / "position" FROM event_log_head`
				if err := grown.db.QueryRowContext(ctx, query).Scan(&each); err != nil {
					return sample{}, fmt.Errorf("ask for the size: %w", err)
				}
				return sample{figure: each}, nil
			},
		})
	}
	return subjects
}
