package pgtest

import (
	"context"
	"strings"
	"testing"

	"github.com/uptrace/bun"
)

// Sent notes what a database is asked: give it to [bun.DB.WithQueryHook]. It is
// for one goroutine.
type Sent struct {
	// Queries are the statements, with their values, in the order they were sent.
	Queries []string
}

// BeforeQuery is called by bun before each statement.
func (s *Sent) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	s.Queries = append(s.Queries, e.Query)
	return ctx
}

// AfterQuery is called by bun after each statement.
func (*Sent) AfterQuery(context.Context, *bun.QueryEvent) {}

// Last is the newest statement; a test without one fails.
func (s *Sent) Last(tb testing.TB) string {
	tb.Helper()
	if len(s.Queries) == 0 {
		tb.Fatal("pgtest: nothing was sent")
	}
	return s.Queries[len(s.Queries)-1]
}

// Plan is how PostgreSQL would answer the statement, as EXPLAIN shows it.
func Plan(tb testing.TB, db *bun.DB, query string) string {
	tb.Helper()
	var lines []string
	// Why doubled: to bun a ? is a placeholder, and the values are in there already.
	if err := db.NewRaw("EXPLAIN "+strings.ReplaceAll(query, "?", "??")).Scan(tb.Context(), &lines); err != nil {
		tb.Fatalf("pgtest: explain: %v", err)
	}
	return strings.Join(lines, "\n")
}
