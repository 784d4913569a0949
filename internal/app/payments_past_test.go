package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// seen is what the live view showed of a payment, and until which moment.
type seen struct {
	row     string
	version int
	moment  eventsourcing.Time // of the last event that had been recorded
}

// watch waits until the live view shows a payment as ok wants it, and keeps that.
func (a *api) watch(payment uuid.UUID, what string, ok func(listed) bool) seen {
	a.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := a.get("/v1/payments/" + payment.String())
		var row listed
		if got.status == http.StatusOK {
			got.into(a.t, &row)
		}
		if got.status == http.StatusOK && ok(row) {
			var last struct{ Items []recorded }
			a.get("/v1/events?limit=500").into(a.t, &last)
			at, err := time.Parse(time.RFC3339Nano, last.Items[len(last.Items)-1].RecordedAt)
			if err != nil {
				a.t.Fatal(err)
			}
			return seen{row: canonical(a.t, json.RawMessage(got.body)), version: row.Version, moment: eventsourcing.At(at)}
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("the payment is never %s: %d %s", what, got.status, got.body)
		}
	}
}

// listed is what a test wants to know of a payment.
type listed struct {
	Status       string
	Version      int
	CustomerName *string `json:"customer_name"`
}

// paymentStory lets a payment be flagged, its customer change the name, a person
// approve, and the customer go. It keeps what the live view showed after each.
func (a *api) paymentStory(payment, customer uuid.UUID) []seen {
	a.t.Helper()
	named := func(name, status string) func(listed) bool {
		return func(l listed) bool {
			return l.Status == status && (l.CustomerName == nil) == (name == "") && (name == "" || *l.CustomerName == name)
		}
	}
	a.command(payment, "process", "1", paying(customer, "12000.00", "USD", "wallet"))
	all := []seen{a.watch(payment, "flagged", named("", "pending_review"))}
	a.append(customer, "user.created", ada)
	all = append(all, a.watch(payment, "Ada's", named("Ada Lovelace", "pending_review")))
	a.append(customer, "user.updated", `{"name":"Ada King"}`)
	all = append(all, a.watch(payment, "Ada King's", named("Ada King", "pending_review")))
	a.command(payment, "reject", "2", `{}`)
	all = append(all, a.watch(payment, "rejected", named("Ada King", "rejected")))
	a.append(customer, "user.deleted", `{}`)
	return append(all, a.watch(payment, "nobody's", named("", "rejected")))
}

// TestAPaymentIsReadAsTheViewShowedIt compares what was with what the live view
// showed then.
func TestAPaymentIsReadAsTheViewShowedIt(t *testing.T) {
	t.Parallel()
	a := start(t)
	payment, customer := uuid.New(), uuid.New()
	path := "/v1/payments/" + payment.String()
	for _, s := range a.paymentStory(payment, customer) {
		got := a.get(path + "?" + asOf(s.moment.Time))
		if got.status != http.StatusOK || canonical(t, json.RawMessage(got.body)) != s.row || got.header.Get("ETag") != fmt.Sprintf(`"%d"`, s.version) {
			t.Errorf("at %s: %d with ETag %s: %s\nwant %s", s.moment, got.status, got.header.Get("ETag"), got.body, s.row)
		}
		var page struct{ Items []map[string]any }
		a.get("/v1/payments?"+asOf(s.moment.Time)).into(t, &page)
		if len(page.Items) != 1 || canonical(t, page.Items[0]) != s.row {
			t.Errorf("the list at %s: %v\nwant %s", s.moment, page.Items, s.row)
		}
	}
	for query, want := range map[string]int{
		"?as_of=2020-01-01T00:00:00Z":      http.StatusNotFound,
		"?version=99":                      http.StatusNotFound,
		"?version=0":                       http.StatusBadRequest,
		"?" + asOf(time.Now().Add(1e12)):   http.StatusBadRequest,
		"?version=1&as_of=2020-01-01":      http.StatusBadRequest,
		"?version=1&min_version=1":         http.StatusBadRequest,
		"/history?limit=0":                 http.StatusBadRequest,
		"/history?cursor=x":                http.StatusBadRequest,
		"/history?as_of=2020-01-01T00:00Z": http.StatusBadRequest,
	} {
		if got := a.get(path + query); got.status != want {
			t.Errorf("%s: %d %s, want %d", query, got.status, got.body, want)
		}
	}
	for _, query := range []string{"?version=1", "?" + asOf(time.Now()), "/history"} {
		if got := a.get("/v1/payments/" + customer.String() + query); got.status != http.StatusNotFound {
			t.Errorf("no payment %s: %d %s", query, got.status, got.body)
		}
	}
	if got := a.get("/v1/payments?status=completed&" + asOf(time.Now())); got.status != http.StatusBadRequest || got.code() != "bad-parameter" {
		t.Errorf("a filter in the past: %d %s", got.status, got.body)
	}
}

// TestTheHistoryOfAPaymentRebuildsIt applies the patches one after the other and
// compares with each version.
func TestTheHistoryOfAPaymentRebuildsIt(t *testing.T) {
	t.Parallel()
	a := start(t)
	payment := uuid.New()
	a.paymentStory(payment, uuid.New())
	var revisions []revision
	path := "/v1/payments/" + payment.String() + "/history?limit=2"
	for path != "" {
		got := a.get(path)
		var page struct{ Items []revision }
		got.into(t, &page)
		revisions = append(revisions, page.Items...)
		path, _, _ = strings.Cut(strings.TrimPrefix(got.header.Get("Link"), "<"), ">")
	}
	slices.Reverse(revisions)
	var document any
	for i, r := range revisions {
		for _, op := range r.Changes {
			if i > 0 && op.Path == "" {
				t.Errorf("version %d is said to change everything", r.Version)
			}
			document = patched(t, document, op)
		}
		got := a.get(fmt.Sprintf("/v1/payments/%s?version=%d", payment, i+1))
		if r.Version != i+1 || canonical(t, document) != canonical(t, json.RawMessage(got.body)) {
			t.Errorf("version %d: patched to %s, read as %s", r.Version, canonical(t, document), got.body)
		}
	}
	if len(revisions) != 3 || !strings.Contains(canonical(t, document), `"customer_name":"Ada King"`) {
		t.Errorf("%d changes to %s", len(revisions), canonical(t, document))
	}
}
