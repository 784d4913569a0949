package postgres_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

// Whatever callers do, given up while they queue, while they ask or while they
// read, the pool is whole afterwards: all of its connections can be used at once.
func TestNoTurnIsLostToWhoGivesUp(t *testing.T) {
	t.Parallel()
	const conns = 3
	db, err := postgres.Open(t.Context(), postgres.Options{URL: pgtest.New(t), MaxConns: conns, PoolWait: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var all sync.WaitGroup
	for range 300 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(20_000))*time.Microsecond)
			defer cancel()
			var rows []int
			var n int
			switch rand.IntN(4) {
			case 0:
				_ = db.NewRaw("SELECT g FROM generate_series(1, 1000) g WHERE pg_sleep(0.00001) IS NOT NULL").Scan(ctx, &rows)
			case 1:
				_, _ = db.NewRaw("SELECT pg_sleep(0.002)").Exec(ctx)
			case 2:
				_ = db.NewRaw("SELECT 1 / 0").Scan(ctx, &n)
			default:
				_, _ = db.NewSelect().TableExpr("generate_series(1, 10) g").Count(ctx)
			}
		})
	}
	all.Wait()
	for range conns {
		rows, err := db.NewSelect().ColumnExpr("1").Rows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }() //nolint:gocritic // all of them are open until the end
		if rows.Err() != nil {
			t.Fatal(rows.Err())
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := db.NewRaw("SELECT 1").Exec(ctx); err == nil {
		t.Error("there are more turns than connections")
	}
}
