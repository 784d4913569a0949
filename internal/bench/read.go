package bench

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
)

// users is how many rows the view has while reads are measured: more than fit
// into the processor's caches, unless less is to be stored anyway.
func (o Options) users() int {
	const enough = 50_000
	return min(enough, o.Stored)
}

// prepareRead compares reading one row over HTTP with asking PostgreSQL for it.
func prepareRead(ctx context.Context, s *stage) ([]subject, error) {
	program, err := s.programWithUsers(ctx, "read", s.options.users())
	if err != nil {
		return nil, err
	}
	const clients, selecting = 64, "select"
	subjects := []subject{{
		name: "read", what: "GET /v1/users/{id}, 64 clients", unit: perSecond,
		checks: []check{versus(selecting).least(0.4)},
		run:    s.reading(program, clients, "/v1/users/"+storedID+keyMark),
	}}
	if tool, ok := s.findPgbench(ctx); ok {
		query := script{text: `\set user random(1, ` + strconv.Itoa(s.options.users()) + `)
SELECT id, name, email, version, created_at, updated_at FROM users WHERE id = ('` + storedID + `' || lpad(:user::text, 8, '0'))::uuid;
`, clients: clients, each: 1}
		subjects = append(subjects, subject{
			name: selecting, what: "pgbench, 64 clients, the same row", unit: perSecond,
			run: tool.running(s, program.db, query),
		})
	}
	return subjects, nil
}

// programWithUsers starts the program on a database with so many users.
func (s *stage) programWithUsers(ctx context.Context, name string, users int) (*server, error) {
	program, err := s.program(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := program.fill(ctx, 0, users); err != nil {
		return nil, err
	}
	if err := program.settle(ctx); err != nil {
		return nil, err
	}
	if _, err := program.db.ExecContext(ctx, "VACUUM ANALYZE"); err != nil {
		return nil, fmt.Errorf("prepare the users' table: %w", err)
	}
	return program, nil
}

func (s *stage) reading(from *server, connections int, path string) func(context.Context) (sample, error) {
	request, marks := newRequest(http.MethodGet, path, "", s.options.users())
	order := load{Connections: connections, Request: request, Marks: marks, Status: http.StatusOK}
	return s.requesting(from, order)
}

// requesting measures how many requests of a load are answered.
func (s *stage) requesting(to *server, order load) func(context.Context) (sample, error) {
	return func(context.Context) (sample, error) {
		results, used, err := s.send(to, order)
		if err != nil {
			return sample{}, err
		}
		return sample{figure: results[0].perSecond(), latency: &results[0].Latency, cores: used}, nil
	}
}

// steadily measures how long the requests of a load with a rate take.
func (s *stage) steadily(to *server, order load) func(context.Context) (sample, error) {
	return func(context.Context) (sample, error) {
		results, used, err := s.send(to, order)
		if err != nil {
			return sample{}, err
		}
		took := results[0].Latency
		return sample{figure: took.P50, latency: &took, cores: used, pace: results[0].perSecond() / order.Rate}, nil
	}
}
