package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

const (
	trace       = "0af7651916cd43dd8448eb211c80319c"
	traceparent = "traceparent: 00-" + trace + "-b7ad6b7169203331-01"
)

// withMetadata is an event with metadata.
func withMetadata(event, metadata string) string {
	return strings.TrimSuffix(event, "}") + `,"metadata":` + metadata + `}`
}

func TestAnEventKeepsItsCircumstances(t *testing.T) {
	t.Parallel()
	a := start(t)
	for what, c := range map[string]struct{ sent, header, kept string }{
		"nothing":             {"", "", `{}`},
		"a trace":             {"", traceparent, `{"trace_id": "` + trace + `"}`},
		"a trace and a story": {`{"correlation_id":"c","causation_id":"b"}`, traceparent, `{"trace_id": "` + trace + `", "causation_id": "b", "correlation_id": "c"}`},
		"the client's trace":  {`{"trace_id":"mine"}`, traceparent, `{"trace_id": "mine"}`},
		"a null for a trace":  {`{"trace_id":null}`, traceparent, `{"trace_id": null}`},
		"an empty object":     {` { } `, traceparent, `{"trace_id": "` + trace + `"}`},
		"another case":        {`{"Trace_ID":1}`, traceparent, `{"Trace_ID": 1, "trace_id": "` + trace + `"}`},
		"a brace in a name":   {`{"{":"}"}`, traceparent, `{"{": "}", "trace_id": "` + trace + `"}`},
		"a broken trace":      {"", "traceparent: 00-" + trace + "-b7ad6b7169203331", `{}`},
		"a long id":           {`{"correlation_id":"` + strings.Repeat("é", 200) + `"}`, "", `{"correlation_id": "` + strings.Repeat("é", 200) + `"}`},
	} {
		id := uuid.New()
		body := event(id, uuid.New(), "user.created", ada)
		if c.sent != "" {
			body = withMetadata(body, c.sent)
		}
		header := c.header
		if header == "" {
			header = "Accept: */*"
		}
		if got := a.post(body, header); got.status != 201 {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
		var kept string
		if err := connect(t, a.database).NewRaw("SELECT metadata::text FROM events WHERE id = ?", id).Scan(t.Context(), &kept); err != nil {
			t.Fatal(err)
		}
		if kept != c.kept {
			t.Errorf("%s: %s, want %s", what, kept, c.kept)
		}
	}
	for _, bad := range []string{`1`, `""`, `null`, `["c"]`, `"` + strings.Repeat("é", 201) + `"`} {
		for _, field := range []string{"correlation_id", "causation_id"} {
			got := a.post(withMetadata(event(uuid.New(), uuid.New(), "user.created", ada), `{"`+field+`":`+bad+`}`))
			if got.status != 422 || !strings.Contains(got.body, `"pointer":"/metadata/`+field+`"`) {
				t.Errorf("%s %s: %d %s", field, bad, got.status, got.body)
			}
		}
	}
	array := "[" + event(uuid.New(), uuid.New(), "user.created", ada) + "," + event(uuid.New(), uuid.New(), "user.created", ada) + "]"
	a.post(array, traceparent)
	if got := a.get("/v1/events?limit=500"); strings.Count(got.body, trace) != 7 {
		t.Errorf("%d events have the trace", strings.Count(got.body, trace))
	}
}

// TestWhatARequestSaysOfItsStoryIsKept is for all that a request can record:
// posted events, commands and reverts.
func TestWhatARequestSaysOfItsStoryIsKept(t *testing.T) {
	t.Parallel()
	a := start(t)
	customer := a.create(ada)
	headers := []string{traceparent, `X-Correlation-ID: story"1"`, "X-Causation-ID: b"}
	for what, got := range map[string]answer{
		"event":   a.post(withMetadata(event(uuid.New(), customer, "user.updated", `{"name":"Ada King"}`), `{"causation_id":"own"}`), headers...),
		"command": a.command(uuid.New(), "process", "k", paying(customer, "1", "USD", "wallet"), headers...),
		"revert":  a.do(http.MethodPost, "/v1/users/"+customer.String()+"/revert", `{"id":"`+uuid.NewString()+`","to_version":1}`, headers...),
	} {
		if got.status > 201 {
			t.Fatalf("%s: %d %s", what, got.status, got.body)
		}
	}
	var kept []string
	err := connect(t, a.database).NewRaw(`SELECT name || ' ' || metadata::text FROM events WHERE "position" > 1 ORDER BY name`).Scan(t.Context(), &kept)
	if err != nil {
		t.Fatal(err)
	}
	all := func(causation string) string {
		return `{"trace_id": "` + trace + `", "causation_id": "` + causation + `", "correlation_id": "story\"1\""}`
	}
	want := []string{
		"payment.initiated " + all("b"), "payment.processed " + all("b"), "user.reverted " + all("b"), "user.updated " + all("own"),
	}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Error(diff)
	}
	got := a.get("/v1/events?correlation_id=" + url.QueryEscape(`story"1"`))
	if n := strings.Count(got.body, `"position":`); n != len(want) {
		t.Errorf("the story has %d events: %s", n, got.body)
	}
}

func TestAStoryIsFollowedThroughAggregates(t *testing.T) {
	t.Parallel()
	a := start(t)
	users := []uuid.UUID{uuid.New(), uuid.New()}
	story := `{"correlation_id":"a story & more"}`
	for i, user := range users {
		a.post(withMetadata(event(uuid.New(), user, "user.created", ada), story))
		a.post(withMetadata(event(uuid.New(), user, "user.updated", `{"name":"Eva"}`), `{"correlation_id":"another"}`))
		a.post(event(uuid.New(), user, "user.updated", `{"name":"Bea"}`))
		a.post(withMetadata(event(uuid.New(), user, "user.updated", fmt.Sprintf(`{"name":"Ada %d"}`, i)), story))
	}
	for query, want := range map[string]string{
		"":                                   "[1 4 5 8]",
		"&after=4":                           "[5 8]",
		"&name=user.created":                 "[1 5]",
		"&aggregate=payment":                 "[]",
		"&aggregate_id=" + users[1].String(): "[5 8]",
	} {
		for _, limit := range []int{1, 50} {
			var positions []int
			path := fmt.Sprintf("/v1/events?limit=%d&correlation_id=a+story+%%26+more%s", limit, query)
			for path != "" {
				got := a.get(path)
				var page struct{ Items []struct{ Position int } }
				got.into(t, &page)
				for _, e := range page.Items {
					positions = append(positions, e.Position)
				}
				path, _, _ = strings.Cut(strings.TrimPrefix(got.header.Get("Link"), "<"), ">")
			}
			if got := fmt.Sprint(positions); got != want {
				t.Errorf("%s by %d: %s, want %s", query, limit, got, want)
			}
		}
	}
	if got := a.get("/v1/events?correlation_id=" + strings.Repeat("a", 201)); got.status != 400 {
		t.Errorf("too long: %d", got.status)
	}
}

// TestAStoryIsFoundByItsIndex holds the plan of a hot query: in a long log the
// events of a story are found without looking at the others.
func TestAStoryIsFoundByItsIndex(t *testing.T) {
	t.Parallel()
	a := start(t)
	db := connect(t, a.database)
	_, err := db.ExecContext(t.Context(), `INSERT INTO events ("position", recorded_at, id, aggregate_id, version, schema_version, name, actor, payload, metadata)
		SELECT n, now(), gen_random_uuid(), gen_random_uuid(), 1, 1, 'user.created', 'test', '{}', CASE WHEN n % 10 = 0 THEN jsonb_build_object('correlation_id', n / 100) ELSE '{}' END
		  FROM generate_series(1, 20000) n; ANALYZE events`)
	if err != nil {
		t.Fatal(err)
	}
	var plan []string
	err = db.NewRaw(`EXPLAIN SELECT * FROM events e WHERE e.aggregate IN (?) AND e.metadata ->> 'correlation_id' = ? ORDER BY e."position" LIMIT 51`,
		bun.List([]string{"user"}), "7").Scan(t.Context(), &plan)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(plan, "\n"); !strings.Contains(text, "events_correlation_id_idx") || strings.Contains(text, "Sort") {
		t.Errorf("%s", text)
	}
}
