package payments

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

func database(tb testing.TB) repository {
	tb.Helper()
	db, err := postgres.Open(tb.Context(), postgres.Options{URL: pgtest.New(tb), MaxConns: 4})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return newRepository(db)
}

// insert writes rows past the events: what is tested here is how they are read.
func insert(tb testing.TB, r repository, rows ...*Summary) {
	tb.Helper()
	if _, err := r.db.NewInsert().Model(&rows).ModelTableExpr("payment_summaries").Exec(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// row is a completed payment of ten dollars at a time.
func row(at time.Time, change func(*Summary)) *Summary {
	moment := eventsourcing.At(at)
	r := &Summary{
		ID: uuid.New(), CustomerID: ada, Amount: amountColumn(usd("10.00")), Method: CreditCard, Status: StatusCompleted,
		Version: 2, InitiatedAt: moment, ProcessedAt: &moment,
	}
	if change != nil {
		change(r)
	}
	return r
}

var day = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

func TestTheListIsPagedWithoutGapsOrRepeats(t *testing.T) {
	t.Parallel()
	t.Run("all", func(t *testing.T) { t.Parallel(); page(t, filter{limit: 4}) })
	t.Run("of a customer", func(t *testing.T) { t.Parallel(); page(t, filter{limit: 4, customerID: ada}) })
}

// page turns the pages of a list of 25.
func page(t *testing.T, f filter) {
	t.Helper()
	r := database(t)
	var want []uuid.UUID
	var rows []*Summary
	for i := range 25 { // five at each moment, so that the id has to break ties
		rows = append(rows, row(day.Add(time.Duration(i/5)*time.Microsecond), nil))
	}
	insert(t, r, rows...)
	err := r.db.NewSelect().Table("payment_summaries").Column("payment_id").
		OrderExpr("initiated_at DESC, payment_id DESC").Scan(t.Context(), &want)
	if err != nil {
		t.Fatal(err)
	}
	var got []uuid.UUID
	for {
		page, err := r.list(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, p := range page {
			got = append(got, p.ID)
		}
		last := page[len(page)-1]
		f.before, f.beforeID = last.InitiatedAt.Time, last.ID
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("paged %d\n%v\nin the table %d\n%v", len(got), got, len(want), want)
	}
}

func TestTheListIsFiltered(t *testing.T) {
	t.Parallel()
	r := database(t)
	insert(t, r,
		row(day, nil),
		row(day.Add(time.Hour), func(s *Summary) { s.CustomerID = bob }),
		row(day.Add(2*time.Hour), func(s *Summary) { s.Status = StatusFailed }),
		row(day.Add(3*time.Hour), func(s *Summary) { s.CustomerID, s.Status = bob, StatusFailed }),
	)
	for _, c := range []struct {
		name string
		f    filter
		want string // hours, newest first
	}{
		{"all", filter{}, "[3 2 1 0]"},
		{"of a customer", filter{customerID: bob}, "[3 1]"},
		{"of a status", filter{status: StatusFailed}, "[3 2]"},
		{"of both", filter{customerID: ada, status: StatusFailed}, "[2]"},
		{"from, inclusive", filter{from: day.Add(2 * time.Hour)}, "[3 2]"},
		{"to, exclusive", filter{before: day.Add(2 * time.Hour)}, "[1 0]"},
		{"from and to", filter{from: day.Add(time.Hour), before: day.Add(3 * time.Hour)}, "[2 1]"},
		{"an empty time", filter{from: day.Add(time.Hour), before: day.Add(time.Hour)}, "[]"},
		{"of a customer, from and to", filter{customerID: ada, from: day.Add(time.Hour), before: day.Add(3 * time.Hour)}, "[2]"},
		{"of nobody", filter{customerID: id}, "[]"},
	} {
		c.f.limit = 10
		rows, err := r.list(t.Context(), c.f)
		if err != nil {
			t.Fatal(err)
		}
		if got := hours(rows); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Pages that are read together are those that are read alone.
func TestPagesReadTogetherAreNotMixedUp(t *testing.T) {
	t.Parallel()
	r := database(t)
	var rows []*Summary
	for i := range 12 {
		rows = append(rows, row(day.Add(time.Duration(i)*time.Hour), func(s *Summary) { s.CustomerID = []uuid.UUID{ada, bob}[i%2] }))
	}
	insert(t, r, rows...)
	pages := []firstPage{{bob, 3}, {ada, 100}, {id, 3}, {bob, 3}, {bob, 2}}
	together, err := r.firstPages(t.Context(), pages)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		alone, err := r.firstPages(t.Context(), []firstPage{p})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := hours(together[p]), hours(alone[p]); got != want {
			t.Errorf("%+v: %s together and %s alone", p, got, want)
		}
	}
	if got := hours(together[pages[0]]) + hours(together[pages[1]]); got != "[11 9 7][10 8 6 4 2 0]" {
		t.Errorf("got %s", got)
	}
}

// hours are when the payments were initiated.
func hours(payments []*Listed) string {
	var hours []int
	for _, p := range payments {
		hours = append(hours, int(p.InitiatedAt.Sub(day).Hours()))
	}
	return fmt.Sprint(hours)
}

func TestTheCustomersNameIsJoinedOnReading(t *testing.T) {
	t.Parallel()
	r := database(t)
	payment := row(day, nil)
	insert(t, r, payment)
	for _, c := range []struct{ sql, want string }{
		{"SELECT 1", "nobody"},
		{"INSERT INTO payment_customers VALUES ('" + ada.String() + "', 'Ada', 1)", "Ada"},
		{"UPDATE payment_customers SET name = 'Ada King'", "Ada King"},
		{"DELETE FROM payment_customers", "nobody"},
	} {
		if _, err := r.db.NewRaw(c.sql).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, _, err := r.row(t.Context(), payment.ID)
		if err != nil {
			t.Fatal(err)
		}
		name := "nobody"
		if got.CustomerName != nil {
			name = *got.CustomerName
		}
		if name != c.want || got.Amount != payment.Amount {
			t.Errorf("after %s: %q %+v", c.sql, name, got)
		}
	}
}

func TestADayBeginsAndEndsAtMidnightUTC(t *testing.T) {
	t.Parallel()
	r := database(t)
	micro := time.Microsecond
	insert(t, r,
		row(day.Add(-micro), nil),
		row(day, nil),
		row(day.Add(24*time.Hour-micro), nil),
		row(day.Add(24*time.Hour), nil),
	)
	// The session's time zone must not matter.
	r.db.SetMaxOpenConns(1)
	if _, err := r.db.NewRaw("SET TIME ZONE 'Pacific/Auckland'").Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[int]int{-1: 1, 0: 2, 1: 1, 2: 0} {
		got, err := r.day(t.Context(), day.AddDate(0, 0, offset))
		if err != nil {
			t.Fatal(err)
		}
		payments := 0
		for _, d := range got {
			payments += d.Payments
		}
		if payments != want {
			t.Errorf("day %+d: %d payments, want %d", offset, payments, want)
		}
	}
}

func TestADaysNumbersAreExactForEachCurrency(t *testing.T) {
	t.Parallel()
	r := database(t)
	of := func(value, code string, status Status) *Summary {
		return row(day.Add(time.Hour), func(s *Summary) {
			s.Amount, s.Status, s.RequiresReview = amountColumn{value, code}, status, status == StatusPendingReview
		})
	}
	initiated := of("1000.00", "USD", StatusInitiated)
	initiated.ProcessedAt = nil
	insert(t, r, initiated,
		of("0.10", "USD", StatusCompleted), of("0.20", "USD", StatusCompleted), of("0.31", "USD", StatusFailed),
		of("999999999999999.99", "USD", StatusPendingReview), of("100", "JPY", StatusRejected), of("1", "JPY", StatusRejected))
	got, err := r.day(t.Context(), day)
	if err != nil {
		t.Fatal(err)
	}
	want := "[{JPY 2 0 0 101 50.5000000000000000 0} {USD 4 1 1 1000000000000000.60 250000000000000.1500 0.30}]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
	if m, err := money(got[0].Average, "JPY"); err != nil || m.Value != "51" {
		t.Errorf("half a yen rounds to %v, %v", m, err)
	}
}

func TestWhatACustomerDidRecently(t *testing.T) {
	t.Parallel()
	r := database(t)
	now := time.Now()
	old := func(s *Summary) { s.InitiatedAt = eventsourcing.At(now.Add(-48 * time.Hour)) }
	insert(t, r,
		row(now, func(s *Summary) { s.Status = StatusFailed }),
		row(now, func(s *Summary) { s.Status = StatusRejected }),
		row(now, func(s *Summary) { s.Status = StatusPendingReview }),
		row(now, old),
		row(now, func(s *Summary) { old(s); s.Status = StatusFailed }),
		row(now, func(s *Summary) { s.CustomerID, s.Status = bob, StatusFailed }),
	)
	for customer, want := range map[uuid.UUID]Recent{
		ada: {Known: true, Payments: 3, Troubles: 2},
		bob: {Payments: 1, Troubles: 1},
		id:  {},
	} {
		if got, err := r.recent(t.Context(), customer, 24*time.Hour); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}

// fill makes a table large enough that a plan without an index would show.
func fill(tb testing.TB, r repository, rows, customers int) []uuid.UUID {
	tb.Helper()
	ids := make([]uuid.UUID, customers)
	for i := range ids {
		ids[i] = uuid.New()
	}
	const part = 20_000 // what one statement writes in its time
	for first := 1; first <= rows; first += part {
		_, err := r.db.NewRaw(`INSERT INTO payment_summaries
		 SELECT gen_random_uuid(), (ARRAY[?]::uuid[])[1 + n % ?], 10.00, 'USD', 'wallet', 'completed', 40, false, NULL, 2,
		        '2026-01-01'::timestamptz + n * interval '1 minute', '2026-01-01'::timestamptz + n * interval '1 minute'
		   FROM generate_series(?, ?) AS n`, bun.List(ids), customers, first, min(first+part-1, rows)).Exec(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := r.db.NewRaw("ANALYZE payment_summaries").Exec(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return ids
}

func TestEveryWayToReadHasItsIndex(t *testing.T) {
	t.Parallel()
	r := database(t)
	ids := fill(t, r, 20_000, 200)
	sent := new(pgtest.Sent)
	watched := newRepository(r.db.WithQueryHook(sent))
	for name, c := range map[string]struct {
		read  func(context.Context) error
		index string
	}{
		"all": {func(ctx context.Context) error { _, err := watched.list(ctx, filter{limit: 51}); return err }, "initiated_at"},
		"a later page": {func(ctx context.Context) error {
			_, err := watched.list(ctx, filter{limit: 51, before: day, beforeID: id})
			return err
		}, "initiated_at"},
		"a customer's": {func(ctx context.Context) error {
			_, err := watched.list(ctx, filter{limit: 51, customerID: ids[0]})
			return err
		}, "customer_id"},
		"a customer's later page": {func(ctx context.Context) error {
			_, err := watched.list(ctx, filter{limit: 51, customerID: ids[0], before: day, beforeID: id})
			return err
		}, "customer_id"},
		"of a status": {func(ctx context.Context) error {
			_, err := watched.list(ctx, filter{limit: 51, status: StatusFailed})
			return err
		}, "status"},
		"of a time": {func(ctx context.Context) error {
			_, err := watched.list(ctx, filter{limit: 51, from: day, before: day.AddDate(0, 0, 1)})
			return err
		}, "initiated_at"},
		"a day":   {func(ctx context.Context) error { _, err := watched.day(ctx, day.AddDate(0, -9, 0)); return err }, "processed_at"},
		"recents": {func(ctx context.Context) error { _, err := watched.recent(ctx, ids[0], time.Hour); return err }, "customer_id"},
	} {
		if err := c.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		plan := pgtest.Plan(t, r.db, sent.Last(t))
		if !strings.Contains(plan, "payment_summaries_"+c.index+"_idx") || strings.Contains(plan, "Seq Scan on payment_summaries") {
			t.Errorf("%s:\n%s\n%s", name, sent.Last(t), plan)
		}
	}
}

func BenchmarkListOfACustomer(b *testing.B) {
	r := database(b)
	ids := fill(b, r, 1_000_000, 10_000)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.list(b.Context(), filter{customerID: ids[rand.IntN(len(ids))], limit: 51}); err != nil {
				b.Error(err)
			}
		}
	})
}
