package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/postgres/pgtest"
)

// paid is the answer to a command.
type paid struct {
	PaymentID uuid.UUID `json:"payment_id"`
	Status    string
	Version   int
	Events    []eventsourcing.Recorded
}

// summary is a payment as it is listed.
type summary struct {
	PaymentID  uuid.UUID `json:"payment_id"`
	CustomerID uuid.UUID `json:"customer_id"`
	Name       *string   `json:"customer_name"`
	Amount     struct{ Value, Currency string }
	Status     string
	Method     string
	Score      *int `json:"risk_score"`
	Review     bool `json:"requires_review"`
	Reason     *string
	Version    int
	Processed  *time.Time `json:"processed_at"`
}

func paying(customer uuid.UUID, value, currency, method string) string {
	return fmt.Sprintf(`{"customer_id":%q,"amount":{"value":%q,"currency":%q},"method":%q}`, customer, value, currency, method)
}

// command sends a command under a key and gives the raw answer.
func (a *api) command(payment uuid.UUID, name, key, body string, headers ...string) answer {
	a.t.Helper()
	return a.do(http.MethodPost, "/v1/payments/"+payment.String()+"/"+name, body, append(headers, "Idempotency-Key: "+key)...)
}

// decided sends a command that has to be accepted.
func (a *api) decided(payment uuid.UUID, name, key, body string) (p paid) {
	a.t.Helper()
	got := a.command(payment, name, key, body, "Prefer: wait=10")
	if got.status != http.StatusOK || got.header.Get("Preference-Applied") != "wait=10" {
		a.t.Fatalf("%s: %d %s", name, got.status, got.body)
	}
	got.into(a.t, &p)
	return p
}

func (a *api) payment(id uuid.UUID) (s summary) {
	a.t.Helper()
	got := a.get("/v1/payments/" + id.String())
	if got.status != http.StatusOK {
		a.t.Fatalf("payment %s: %d %s", id, got.status, got.body)
	}
	got.into(a.t, &s)
	return s
}

func names(events []eventsourcing.Recorded) string {
	var list []string
	for _, e := range events {
		list = append(list, strings.TrimPrefix(e.Name, "payment."))
	}
	return strings.Join(list, " ")
}

func TestAPaymentOfEachFate(t *testing.T) {
	t.Parallel()
	a := start(t)
	customer := a.create(ada)
	risky := func() string { return paying(uuid.New(), "15000.00", "USD", "credit_card") } // of somebody nobody knows
	for _, c := range []struct {
		name, body, review string
		status, events     string
	}{
		{"small", paying(customer, "100.00", "USD", "credit_card"), "", "completed", "initiated processed"},
		{"in yen", paying(customer, "100", "JPY", "wallet"), "", "completed", "initiated processed"},
		{"over the limit", paying(customer, "25000.01", "USD", "debit_card"), "", "failed", "initiated failed"},
		{"risky", risky(), "", "pending_review", "initiated flagged_for_review"},
		{"risky, approved", risky(), "approve", "completed", "approved processed"},
		{"risky, rejected", risky(), "reject", "rejected", "rejected"},
	} {
		id := uuid.New()
		got := a.decided(id, "process", "first", c.body)
		if c.review != "" {
			if flagged := a.payment(id); !flagged.Review || flagged.Status != "pending_review" {
				t.Errorf("%s: %+v", c.name, flagged)
			}
			got = a.decided(id, c.review, "second", `{"note":"seen"}`)
		}
		if got.PaymentID != id || got.Status != c.status || names(got.Events) != c.events || got.Version != got.Events[len(got.Events)-1].Version {
			t.Errorf("%s: %+v", c.name, got)
		}
		shown := a.payment(id)
		if shown.Status != c.status || shown.Version != got.Version || shown.Score == nil || shown.Processed == nil ||
			shown.Review != (c.status == "pending_review") || (shown.Reason != nil) != (c.status == "failed") {
			t.Errorf("%s is shown as %+v", c.name, shown)
		}
	}
}

func TestACommandsAnswerIsWhatTheLogHolds(t *testing.T) {
	t.Parallel()
	a := start(t)
	id := uuid.New()
	answered := a.decided(id, "process", "k", paying(uuid.New(), "1.5", "KWD", "wallet"))
	var log struct{ Items []json.RawMessage }
	a.get("/v1/events?aggregate_id="+id.String()).into(t, &log)
	for i, e := range answered.Events {
		sent, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if string(sent) != string(log.Items[i]) {
			t.Errorf("answered %s\nin the log %s", sent, log.Items[i])
		}
	}
	if shown := a.payment(id); shown.Amount.Value != "1.500" || shown.Amount.Currency != "KWD" {
		t.Errorf("shown as %+v", shown)
	}
}

func TestARepeatedKeyAnswersTheSameAgain(t *testing.T) {
	t.Parallel()
	a := start(t)
	id, customer := uuid.New(), uuid.New()
	body := paying(customer, "12000", "USD", "wallet")
	first := a.command(id, "process", "one", body)
	approved := a.command(id, "approve", "two", "")
	for name, c := range map[string]struct{ want, got answer }{
		"as it was":                {first, a.command(id, "process", "one", body)},
		"in quotes":                {first, a.command(id, "process", `"one"`, body)},
		"formatted another way":    {first, a.command(id, "process", "one", " "+paying(customer, "12000.00", "USD", "wallet"))},
		"the approval":             {approved, a.command(id, "approve", "two", "")},
		"the approval, empty body": {approved, a.command(id, "approve", "two", "{}")},
	} {
		if c.got.status != 200 || c.got.body != c.want.body {
			t.Errorf("%s: %d %s\nwant %s", name, c.got.status, c.got.body, c.want.body)
		}
	}
	for name, c := range map[string]struct {
		got    answer
		status int
		code   string
	}{
		"another amount":       {a.command(id, "process", "one", paying(customer, "12000.01", "USD", "wallet")), 422, "idempotency-key-reused"},
		"another command":      {a.command(id, "approve", "one", ""), 422, "idempotency-key-reused"},
		"another note":         {a.command(id, "approve", "two", `{"note":"x"}`), 422, "idempotency-key-reused"},
		"another key":          {a.command(id, "process", "three", body), 409, "payment-already-completed"},
		"a second approval":    {a.command(id, "approve", "four", ""), 409, "payment-already-completed"},
		"a key too long":       {a.command(id, "process", strings.Repeat("k", 256), body), 400, "bad-parameter"},
		"a key with a space":   {a.command(id, "process", "a b", body), 400, "bad-parameter"},
		"an empty key":         {a.command(id, "process", `""`, body), 400, "bad-parameter"},
		"no key":               {a.do("POST", "/v1/payments/"+id.String()+"/process", body), 400, "bad-parameter"},
		"approving nothing":    {a.command(uuid.New(), "approve", "k", ""), 404, "not-found"},
		"rejecting nothing":    {a.command(uuid.New(), "reject", "k", ""), 404, "not-found"},
		"posting events":       {a.do("POST", "/v1/payments/events", "{}"), 405, "method-not-allowed"},
		"a user's id":          {a.command(a.create(ada), "process", "k", body), 409, "aggregate-exists"},
		"a user's id, approve": {a.command(a.create(ada), "approve", "k", ""), 404, "not-found"},
	} {
		if c.got.status != c.status || c.got.code() != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, c.got.status, c.got.body, c.status, c.code)
		}
	}
	if got := a.payment(id); got.Version != 4 {
		t.Errorf("repeats have recorded events: version %d", got.Version)
	}
}

func TestOneOf32ConcurrentRepeatsIsRecorded(t *testing.T) {
	t.Parallel()
	a := start(t)
	for round := range 5 {
		id := uuid.New()
		body := paying(uuid.New(), "100.00", "USD", "wallet")
		answers := make([]answer, 32)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = a.command(id, "process", "same", body) })
		}
		all.Wait()
		for _, got := range answers {
			if got.status != 200 || got.body != answers[0].body {
				t.Errorf("round %d: %d %s\nand %s", round, got.status, got.body, answers[0].body)
			}
		}
		var log struct{ Items []json.RawMessage }
		a.get("/v1/events?aggregate_id="+id.String()).into(t, &log)
		if len(log.Items) != 2 {
			t.Errorf("round %d: %d events", round, len(log.Items))
		}
	}
}

// The answer of the first program is lost with it; the next one knows the key
// from the payment's events.
func TestARepeatAfterTheProgramWasLostAnswersFromTheLog(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	id, body := uuid.New(), paying(uuid.New(), "12000.00", "USD", "wallet")
	one := startOn(t, database)
	lost := one.command(id, "process", "k", body)
	one.stop()
	two := startOn(t, database)
	if got := two.command(id, "process", "k", body); got.status != 200 || got.body != lost.body {
		t.Errorf("%d %s\nwant %s", got.status, got.body, lost.body)
	}
}

func TestEveryWrongFieldOfACommandIsPointedAt(t *testing.T) {
	t.Parallel()
	a := start(t)
	customer := uuid.NewString()
	amount := func(a string) string {
		return `{"customer_id":"` + customer + `","amount":` + a + `,"method":"wallet"}`
	}
	value := func(v string) string { return amount(`{"value":` + v + `,"currency":"USD"}`) }
	currency := func(c string) string { return amount(`{"value":"1","currency":` + c + `}`) }
	who := func(id string) string {
		return `{"customer_id":` + id + `,"amount":{"value":"1","currency":"USD"},"method":"wallet"}`
	}
	method := func(m string) string {
		return `{"customer_id":"` + customer + `","amount":{"value":"1","currency":"USD"},"method":` + m + `}`
	}
	var cases []bad
	for _, c := range []struct{ command, body, pointers string }{
		{"process", `{}`, "/amount /customer_id /method"},
		{"process", `[]`, ""},
		{"process", `null`, ""},
		{"process", `{"customer_id":1,"amount":[],"method":true}`, "/amount /customer_id /method"},
		{
			"process", `{"customer_id":"x","amount":{"value":"-1","currency":"USX","cents":5},"method":"cash","note":""}`,
			"/amount/cents /amount/currency /amount/value /customer_id /method /note",
		},
		{"process", amount(`{}`), "/amount/currency /amount/value"},
		{"process", amount(`"100 USD"`), "/amount"},
		{"process", value(`"1e3"`), "/amount/value"},
		{"process", value(`"-1"`), "/amount/value"},
		{"process", value(`"0.001"`), "/amount/value"},
		{"process", value(`"0"`), "/amount/value"},
		{"process", value(`"NaN"`), "/amount/value"},
		{"process", value(`""`), "/amount/value"},
		{"process", value(`"` + strings.Repeat("9", 16) + `"`), "/amount/value"},
		{"process", value(`"` + strings.Repeat("9", 5000) + `"`), "/amount/value"},
		{"process", value(`100`), "/amount/value"},
		{"process", value(`"1,00"`), "/amount/value"},
		{"process", value(`"١"`), "/amount/value"},
		{"process", value(`"+1"`), "/amount/value"},
		{"process", value(`" 1"`), "/amount/value"},
		{"process", value(`"1."`), "/amount/value"},
		{"process", value(`".5"`), "/amount/value"},
		{"process", value(`"0x10"`), "/amount/value"},
		{"process", value(`"Infinity"`), "/amount/value"},
		{"process", value(`"1_000"`), "/amount/value"},
		{"process", value(`"-0"`), "/amount/value"},
		{"process", value(`"0.00"`), "/amount/value"},
		{"process", value(`[]`), "/amount/value"},
		{"process", value(`{}`), "/amount/value"},
		{"process", value(`true`), "/amount/value"},
		{"process", currency(`null`), "/amount/currency"},
		{"process", currency(`"USD "`), "/amount/currency"},
		{"process", currency(`"US"`), "/amount/currency"},
		{"process", currency(`[]`), "/amount/currency"},
		{"process", amount(`null`), "/amount"},
		{"process", amount(`100`), "/amount"},
		{"process", who(`null`), "/customer_id"},
		{"process", who(`{}`), "/customer_id"},
		{"process", who(`"urn:uuid:0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"`), "/customer_id"},
		{"process", method(`null`), "/method"},
		{"process", method(`1`), "/method"},
		{"process", method(`["wallet"]`), "/method"},
		{"process", value(`1e309`), "/amount/value"},
		{"process", value(`null`), "/amount/value"},
		{"process", value(`"1\u0000"`), "/amount/value"},
		{"process", currency(`"usd"`), "/amount/currency"},
		{"process", currency(`"XXQ"`), "/amount/currency"},
		{"process", currency(`""`), "/amount/currency"},
		{"process", currency(`840`), "/amount/currency"},
		{"process", currency(`"ISK"`), "/amount/currency"}, // exists, and no limit is configured
		{"process", who(`"00000000-0000-0000-0000-000000000000"`), "/customer_id"},
		{"process", who(`"ffffffff-ffff-ffff-ffff-ffffffffffff"`), "/customer_id"},
		{"process", who(`"{0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01}"`), "/customer_id"},
		{"process", who(`"0193b7a24c1e7d608f7e1b1d1f6f0a01"`), "/customer_id"},
		{"process", who(`""`), "/customer_id"},
		{"process", method(`""`), "/method"},
		{"process", method(`"Wallet"`), "/method"},
		{"approve", `{"note":1}`, "/note"},
		{"approve", `{"Note":"x"}`, "/Note"},
		{"approve", `{"note":"` + strings.Repeat("x", 1001) + `"}`, "/note"},
		{"reject", `{"reason":"x","note":[]}`, "/note /reason"},
		{"reject", `"no"`, ""},
	} {
		cases = append(cases, bad{
			what: fmt.Sprintf("%s %.100s", c.command, c.body), send: request(http.MethodPost, "/v1/payments/"+uuid.NewString()+"/"+c.command, c.body, "Idempotency-Key: k"),
			status: 422, code: "validation-failed", pointers: c.pointers,
		})
	}
	for _, body := range []string{`{"note":"a","note":"b"}`, `{"note":"a"}x`, `{`, "{\"note\":\"\xff\"}", `{"note":"\ud800"}`, "\xef\xbb\xbf{}", nested(33)} {
		cases = append(cases, bad{
			what: "approve " + body, send: request(http.MethodPost, "/v1/payments/"+uuid.NewString()+"/approve", body, "Idempotency-Key: k"),
			status: 400, code: "malformed-body", pointers: anyPointer,
		})
	}
	for _, key := range []string{"", `""`, "a b", strings.Repeat("k", 256), "k\r\nIdempotency-Key: k", "ü"} {
		cases = append(cases, bad{
			what: "the key " + key, send: request(http.MethodPost, "/v1/payments/"+uuid.NewString()+"/process", paying(uuid.New(), "1", "USD", "wallet"), "Idempotency-Key:"+key),
			status: 400, code: "bad-parameter", pointers: anyPointer,
		})
	}
	a.refuses(t, cases)
	a.works(t)
}
