package app_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestAPaymentIsReadAsItWas follows a payment that a person decides on, and the
// name of its customer beside it.
func TestAPaymentIsReadAsItWas(t *testing.T) {
	t.Parallel()
	a := start(t)
	customer, id := a.create(ada), uuid.New()
	path := "/v1/payments/" + id.String() + "?"
	flagged := a.decided(id, "process", "k1", paying(customer, "12000", "USD", "wallet"))
	renamed := a.append(customer, "user.updated", `{"name":"Ada King"}`)
	approved := a.decided(id, "approve", "k2", `{}`)
	if names(flagged.Events) != "initiated flagged_for_review" || names(approved.Events) != "approved processed" {
		t.Fatalf("%s, then %s", names(flagged.Events), names(approved.Events))
	}
	at := func(p paid) time.Time { return p.Events[0].RecordedAt.Time }
	const µs = time.Microsecond
	for what, c := range map[string]struct {
		query  string
		status int
		etag   string
		stands string
		name   string
	}{
		"version 1":                {"version=1", 200, `"1"`, "initiated", "Ada Lovelace"},
		"version 2":                {"version=2", 200, `"2"`, "pending_review", "Ada Lovelace"},
		"version 4":                {"version=4", 200, `"4"`, "completed", "Ada King"},
		"a version that never was": {"version=5", 404, "", "", ""},
		"before it began":          {asOf(at(flagged).Add(-µs)), 404, "", "", ""},
		"when it was flagged":      {asOf(at(flagged)), 200, `"2"`, "pending_review", "Ada Lovelace"},
		"under the other name":     {asOf(renamed.RecordedAt), 200, `"2"`, "pending_review", "Ada King"},
		"just before the approval": {asOf(at(approved).Add(-µs)), 200, `"2"`, "pending_review", "Ada King"},
		"when it was approved":     {asOf(at(approved)), 200, `"4"`, "completed", "Ada King"},
		"in the future":            {asOf(time.Now().Add(time.Hour)), 400, "", "", ""},
		"both":                     {"version=1&" + asOf(at(approved)), 400, "", "", ""},
	} {
		got := a.get(path + c.query)
		var s summary
		if got.status == 200 {
			got.into(t, &s)
		}
		name := ""
		if s.Name != nil {
			name = *s.Name
		}
		if got.status != c.status || got.header.Get("ETag") != c.etag || s.Status != c.stands || name != c.name {
			t.Errorf("%s: %d with ETag %s: %s", what, got.status, got.header.Get("ETag"), got.body)
		}
	}
	if now, then := a.get(strings.TrimSuffix(path, "?")).body, a.get(path+"version=4").body; now != then {
		t.Errorf("the newest version is %s, the view shows %s", then, now)
	}
}

func TestAPaymentsHistoryIsKept(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := uuid.New()
	a.decided(id, "process", "k1", paying(uuid.New(), "12000", "USD", "wallet"))
	a.decided(id, "reject", "k2", `{"note":"no"}`)
	var page struct{ Items []revision }
	a.get("/v1/payments/"+id.String()+"/history").into(t, &page)
	var got []string
	for _, r := range page.Items {
		for _, c := range r.Changes {
			if c.Path == "/status" || c.Path == "" {
				got = append(got, r.Name+" "+c.Op+" "+c.Path)
			}
		}
	}
	want := []string{"payment.rejected replace /status", "payment.flagged_for_review replace /status", "payment.initiated add "}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := a.get("/v1/payments/" + uuid.NewString() + "/history"); got.status != http.StatusNotFound {
		t.Errorf("no payment: %d %s", got.status, got.body)
	}
}

func TestPaymentsAreListedAsTheyWere(t *testing.T) {
	t.Parallel()
	a := start(t)
	customer := a.create(ada)
	var ids []string
	var last paid
	for range 5 {
		last = a.decided(uuid.New(), "process", "k", paying(customer, "12000", "USD", "wallet"))
		ids = append(ids, last.PaymentID.String())
	}
	then := asOf(last.Events[0].RecordedAt.Time)
	a.append(customer, "user.deleted", `{}`)
	a.decided(last.PaymentID, "approve", "k2", `{}`)
	a.decided(uuid.New(), "process", "k", paying(customer, "1", "USD", "wallet"))
	var got []string
	path := "/v1/payments?limit=2&" + then
	for path != "" {
		page := a.get(path)
		var list struct{ Items []summary }
		page.into(t, &list)
		for _, p := range list.Items {
			got = append(got, p.PaymentID.String())
			if p.Status != "pending_review" || p.Name == nil || *p.Name != "Ada Lovelace" {
				t.Errorf("%+v", p)
			}
		}
		path, _, _ = strings.Cut(strings.TrimPrefix(page.header.Get("Link"), "<"), ">")
	}
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Errorf("%q, want %q", got, ids)
	}
	if got := a.get("/v1/payments?status=completed&" + then); got.status != http.StatusBadRequest {
		t.Errorf("with a filter: %d %s", got.status, got.body)
	}
}
