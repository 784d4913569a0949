package eventstore_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
)

// However large the events are, a reader gets no more of them than it can hold,
// and always at least one.
func TestAPayloadBudgetEndsTheAnswerEarly(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	id := uuid.New()
	all := events(id, "thing.made", "thing.changed", "thing.changed", "thing.changed")
	for i := range all {
		all[i].Payload = json.RawMessage(`{"text":"` + strings.Repeat("x", 989) + `"}`) // 1,000 bytes
	}
	if _, err := l.Append(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for budget, want := range map[int]int{0: 4, 1: 1, 1000: 1, 1001: 2, 3000: 3, 1 << 20: 4} {
		got, err := eventstore.ReadFrom(t.Context(), db, eventstore.Query{PayloadBudget: budget})
		if err != nil || len(got) != want {
			t.Errorf("budget %d: %d events, %v, want %d", budget, len(got), err, want)
		}
	}
	got, err := l.Read(t.Context(), eventstore.Query{Limit: 1})
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	want := eventsourcing.Recorded{
		ID: all[0].ID, AggregateID: id, Aggregate: "thing", Name: "thing.made", SchemaVersion: 1, Version: 1, Position: 1,
		Payload: all[0].Payload, Metadata: json.RawMessage(`{}`), Actor: "test", RecordedAt: got[0].RecordedAt,
	}
	if a, b := mustJSON(t, got[0]), mustJSON(t, want); a != b || got[0].RecordedAt.IsZero() {
		t.Errorf("read %s, want %s", a, b)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
