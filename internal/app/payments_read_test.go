package app_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

func TestACustomersNameFollowsTheUser(t *testing.T) {
	t.Parallel()
	a := start(t)
	customer, id := uuid.New(), uuid.New()
	a.decided(id, "process", "k", paying(customer, "1", "USD", "wallet"))
	if got := a.payment(id); got.Name != nil {
		t.Errorf("the name of nobody is %q", *got.Name)
	}
	for _, c := range []struct{ name, payload, want string }{
		{"user.created", ada, "Ada Lovelace"}, {"user.updated", `{"name":"Ada King"}`, "Ada King"}, {"user.deleted", `{}`, ""},
	} {
		if got := a.post(event(uuid.New(), customer, c.name, c.payload)); got.status != 201 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		a.eventually("the name after "+c.name, func() bool {
			name := a.payment(id).Name
			return (name == nil) == (c.want == "") && (name == nil || *name == c.want)
		})
	}
}

// eventually waits until it is so.
func (a *api) eventually(what string, so func() bool) {
	a.t.Helper()
	deadline := time.After(10 * time.Second)
	for !so() {
		select {
		case <-deadline:
			a.t.Fatalf("%s: not in ten seconds", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestPaymentsAreListedFilteredAndPaged(t *testing.T) {
	t.Parallel()
	a := start(t)
	customer, other := a.create(ada), uuid.New()
	var mine []uuid.UUID
	for i := range 5 {
		id := uuid.New()
		a.decided(id, "process", "k", paying(customer, strconv.Itoa(i+1), "USD", "wallet"))
		a.decided(uuid.New(), "process", "k", paying(other, "20000", "USD", "wallet")) // flagged, or over the limit
		mine = append([]uuid.UUID{id}, mine...)
	}
	var got []uuid.UUID
	path := "/v1/payments?limit=2&status=completed&customer_id=" + customer.String()
	for path != "" {
		var page struct {
			Items []summary
			Next  *string `json:"next_cursor"`
		}
		answer := a.get(path)
		answer.into(t, &page)
		for _, p := range page.Items {
			got = append(got, p.PaymentID)
			if p.Name == nil || *p.Name != "Ada Lovelace" {
				t.Errorf("%+v", p)
			}
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(answer.header.Get("Link"), "<"), ">")
	}
	if fmt.Sprint(got) != fmt.Sprint(mine) {
		t.Errorf("got  %v\nwant %v", got, mine)
	}
	for query, status := range map[string]int{
		"status=paid": 400, "customer_id=x": 400, "from=yesterday": 400, "to=2026-01-01": 400, "limit=0": 400, "limit=501": 400,
		"cursor=x": 400, "sort=amount": 400, "status=failed": 200, "from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00%2B02:00": 200,
	} {
		if got := a.get("/v1/payments?" + query); got.status != status {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
}

func TestADayInNumbers(t *testing.T) {
	t.Parallel()
	a := start(t)
	stranger := uuid.New()
	a.decided(uuid.New(), "process", "k", paying(stranger, "0.10", "USD", "wallet"))
	a.decided(uuid.New(), "process", "k", paying(stranger, "0.20", "USD", "wallet"))
	a.decided(uuid.New(), "process", "k", paying(stranger, "15000.01", "EUR", "bank_transfer"))
	flagged := a.decided(uuid.New(), "process", "k", paying(uuid.New(), "12000.00", "USD", "wallet"))
	a.decided(uuid.New(), "process", "k", paying(stranger, "30000", "USD", "debit_card"))
	date := flagged.Events[0].RecordedAt.Format(time.DateOnly)
	const usd = `{"currency":"USD","total_transactions":4,"failed_count":1,"review_count":1,` +
		`"total_volume":{"value":"42000.30","currency":"USD"},"completed_volume":{"value":"0.30","currency":"USD"},` +
		`"average_amount":{"value":"10500.08","currency":"USD"}}`
	got := a.get("/v1/payments/statistics/daily?date=" + date)
	if got.status != 200 || !strings.Contains(got.body, usd) || !strings.Contains(got.body, `"total_transactions":5,"failed_count":1,"review_count":1`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	a.decided(flagged.PaymentID, "approve", "yes", "")
	if got := a.get("/v1/payments/statistics/daily?date=" + date); !strings.Contains(got.body, `"completed_volume":{"value":"12000.30","currency":"USD"}`) {
		t.Errorf("approved: %s", got.body)
	}
	for query, status := range map[string]int{"": 400, "?date=": 400, "?date=today": 400, "?date=2026-02-30": 400, "?date=0000-01-01": 400, "?date=1999-12-31": 200} {
		if got := a.get("/v1/payments/statistics/daily" + query); got.status != status {
			t.Errorf("%q: %d %s", query, got.status, got.body)
		}
	}
}

func TestOldEventsComeOutNewEverywhere(t *testing.T) {
	t.Parallel()
	a := start(t)
	id, customer := uuid.New(), uuid.New()
	a.decided(uuid.New(), "process", "k", paying(customer, "1", "USD", "wallet")) // the catalogue is there
	var version int
	err := connect(t, a.database).NewRaw(`SELECT max(version) FROM append_events(
		ids => ARRAY[gen_random_uuid(), gen_random_uuid()], aggregate_ids => ARRAY[?0, ?0]::uuid[],
		names => ARRAY['payment.initiated', 'payment.processed'], schema_versions => ARRAY[1, 1],
		payloads => ARRAY[?1, ?2]::json[])`, id,
		fmt.Sprintf(`{"payment_id":%q,"customer_id":%q,"amount":{"value":"100.50","currency":"USD"},"method":"wallet"}`, id, customer),
		fmt.Sprintf(`{"id":%q,"amount":100.5}`, id)).Scan(t.Context(), &version)
	if err != nil || version != 2 {
		t.Fatalf("version %d, %v", version, err)
	}
	a.eventually("the view shows it", func() bool { return a.get("/v1/payments/"+id.String()).status == 200 })
	if got := a.payment(id); got.Status != "completed" || got.Amount.Value != "100.50" {
		t.Errorf("view: %+v", got)
	}
	const newest = `"payload":{"payment_id":"%s","amount":{"value":"100.50","currency":"USD"}}`
	want := fmt.Sprintf(newest, id)
	var log struct{ Items []eventsourcing.Recorded }
	list := a.get("/v1/events?name=payment.processed&aggregate_id=" + id.String())
	list.into(t, &log)
	if !strings.Contains(list.body, want) || log.Items[0].SchemaVersion != 2 {
		t.Errorf("log: %s", list.body)
	}
	if got := a.get("/v1/events/" + log.Items[0].ID.String()); !strings.Contains(got.body, want) {
		t.Errorf("event: %s", got.body)
	}
	if got := a.command(id, "process", "k", paying(customer, "100.50", "USD", "wallet")); got.code() != "payment-already-completed" {
		t.Errorf("write model: %d %s", got.status, got.body)
	}
}
