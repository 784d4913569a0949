package bench

import (
	"context"
	"fmt"
	"net/http"
)

// insertRow is the baselines' statement: as small as one can be that stores an
// event. Its ids rise, as new UUIDv7 do; pgbench has numbers only, and decimal
// digits are hexadecimal ones too.
func insertRow(table string) string {
	id := func(last int) string {
		return fmt.Sprintf("(lpad(:n::text, 8, '0') || '-' || lpad(:client_id::text, 4, '0') || '-7000-8000-%012d')::uuid", last)
	}
	return `\set n :n + 1
INSERT INTO ` + table + ` (id, aggregate_id, name, payload)
VALUES (` + id(1) + ", " + id(2) + `, 'user.created', '{"name":"Ada Lovelace","email":"ada@example.com"}');
`
}

// insertRows stores a hundred events with one statement.
const insertRows = `\set n :n + 1
INSERT INTO plain_events (id, aggregate_id, name, payload)
SELECT (prefix || lpad(g::text, 12, '0'))::uuid, (prefix || '1' || lpad(g::text, 11, '0'))::uuid,
       'user.created', '{"name":"Ada Lovelace","email":"ada@example.com"}'
  FROM (SELECT lpad(:n::text, 8, '0') || '-' || lpad(:client_id::text, 4, '0') || '-7000-8000-' AS prefix) p, generate_series(1, 100) g;
`

// prepareAppend compares appending over HTTP with the article's variant over
// HTTP, and both with what the database does alone.
func prepareAppend(ctx context.Context, s *stage) ([]subject, error) {
	program, err := s.program(ctx, "append")
	if err != nil {
		return nil, err
	}
	baseline, err := s.article(ctx)
	if err != nil {
		return nil, err
	}
	const single, multi, rows = "insert", "multi-row insert", 100
	var subjects []subject
	for _, n := range s.options.Connections {
		subjects = append(subjects, s.overHTTP(baseline, program, n, single)...)
	}
	const clients = 16
	arrays := s.appending(program, clients, rows)
	subjects = append(subjects, subject{
		name: "append arrays", what: fmt.Sprintf("events in arrays of %d, %d clients", rows, clients), unit: perSecond,
		checks: []check{value().least(80_000), versus(multi)}, run: arrays,
	}, subject{
		name: "append arrays alone", what: "the same while views wait", unit: perSecond,
		checks: []check{value().least(80_000), versus(multi).least(0.7)}, run: program.whileViewsWait(arrays),
	})
	if tool, ok := s.findPgbench(ctx); ok {
		subjects = append(subjects, subject{
			name: single, what: "pgbench, 32 clients, no trigger", unit: perSecond,
			run: tool.running(s, baseline.db, script{insertRow("plain_events"), 32, 1}),
		}, subject{
			name: single + " and notify", what: "pgbench, 32 clients, row trigger", unit: perSecond,
			run: tool.running(s, baseline.db, script{insertRow("article_events"), 32, 1}),
		}, subject{
			name: multi, what: fmt.Sprintf("pgbench, 4 clients, %d rows each", rows), unit: perSecond,
			run: tool.running(s, baseline.db, script{insertRows, 4, rows}),
		})
	}
	return subjects, nil
}

// overHTTP is appending one event at a time by so many clients, by the article's
// way and by ours.
func (s *stage) overHTTP(baseline, program *server, clients int, single string) []subject {
	article := fmt.Sprintf("article/%d", clients)
	checks := []check{versus(article), versus(single)}
	switch clients {
	case 64:
		checks = []check{versus(article).least(6), versus(single).least(1), latencyAt(p99).most(8)}
	case 256:
		checks = []check{versus(article).least(10), versus(single).least(1.5)}
	}
	appends := s.appending(program, clients, 1)
	return []subject{{
		name: article, what: "one INSERT per request", unit: perSecond, run: s.appending(baseline, clients, 1),
		point: at(seriesArticle, clients),
	}, {
		name: fmt.Sprintf("append/%d", clients), what: "one-event appends over HTTP", unit: perSecond, checks: checks, run: appends,
		point: at(seriesAppend, clients),
	}, {
		name: fmt.Sprintf("append/%d alone", clients), what: "the same while views wait", unit: perSecond,
		checks: []check{versus(article), versus(single)}, run: program.whileViewsWait(appends),
	}}
}

// article starts the baseline on a database of its own.
func (s *stage) article(ctx context.Context) (*server, error) {
	db, err := s.articleDatabase(ctx)
	if err != nil {
		return nil, err
	}
	return s.serve(ctx, roleArticle, db)
}

func (s *stage) articleDatabase(ctx context.Context) (*database, error) {
	db, err := s.newDatabase(ctx, "article")
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, articleSchema)
	return db, wrap(err, "make the baseline's tables")
}

// withInsert adds pgbench's insert of single rows to subjects that have nothing
// closer to be compared with.
func (s *stage) withInsert(ctx context.Context, subjects []subject, name string) ([]subject, error) {
	tool, ok := s.findPgbench(ctx)
	if !ok {
		return subjects, nil
	}
	db, err := s.articleDatabase(ctx)
	if err != nil {
		return nil, err
	}
	return append(subjects, subject{
		name: name, what: "pgbench, 32 clients, no trigger", unit: perSecond,
		run: tool.running(s, db, script{insertRow("plain_events"), 32, 1}),
	}), nil
}

// appending measures requests of so many events each; the figure is in events.
// Views are kept meanwhile.
func (s *stage) appending(to *server, connections, events int) func(context.Context) (sample, error) {
	request, marks := newRequest(http.MethodPost, "/v1/users/events", appendOf(events), 0)
	order := load{Connections: connections, Request: request, Marks: marks, Status: http.StatusCreated}
	return func(context.Context) (sample, error) {
		results, used, err := s.send(to, order)
		if err != nil {
			return sample{}, err
		}
		r := results[0]
		return sample{figure: r.perSecond() * float64(events), latency: &r.Latency, cores: used}, nil
	}
}
