package payments

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"onepg/internal/eventsourcing"
)

// Each file is a payload as a program of that schema version recorded it, and
// what it has to be read as for ever. They are added and never changed.
func TestEveryPayloadEverStoredIsStillRead(t *testing.T) {
	t.Parallel()
	registry, err := eventsourcing.NewRegistry(events()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range registry.Types() {
		for version := 1; version <= kind.SchemaVersion(); version++ {
			file := fmt.Sprintf("testdata/events/%s.v%d.json", kind.Name, version)
			t.Run(file, func(t *testing.T) {
				t.Parallel()
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				var golden struct{ Stored, Read json.RawMessage }
				if err := json.Unmarshal(text, &golden); err != nil {
					t.Fatal(err)
				}
				_, payload, err := registry.Read(eventsourcing.Recorded{Name: kind.Name, SchemaVersion: version, Payload: golden.Stored})
				if err != nil {
					t.Fatal(err)
				}
				read, err := json.Marshal(payload)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(decoded(t, golden.Read), decoded(t, read)); diff != "" {
					t.Errorf("it is read as something else (-golden +now):\n%s", diff)
				}
			})
		}
	}
}

func decoded(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVersion1AmountsKeepTheirCents(t *testing.T) {
	t.Parallel()
	for stored, want := range map[string]string{
		`100`: "100.00", `100.5`: "100.50", `19.990000000000002`: "19.99", `0.1`: "0.10", `1e3`: "1000.00",
		`12345678901234.56`: "12345678901234.56", `-5.25`: "-5.25",
	} {
		var got Processed
		lifted, err := processedV2(json.RawMessage(`{"id":"` + id.String() + `","amount":` + stored + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(lifted, &got); err != nil || got.Amount != usd(want) || got.PaymentID != id {
			t.Errorf("%s: %+v, %v", stored, got, err)
		}
	}
	for _, broken := range []string{`{"id":"` + id.String() + `"}`, `{"id":"x","amount":1}`, `{"amount":"NaN"}`, `[]`, `{`} {
		if lifted, err := processedV2(json.RawMessage(broken)); err == nil {
			t.Errorf("%s is read as %s", broken, lifted)
		}
	}
}

// A float of whole cents, as version 1 wrote it, is lifted to exactly these
// cents.
func TestVersion1FloatsAreTheCentsTheyStoodFor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cents := rapid.Int64Range(0, 1e13).Draw(t, "cents")
		v1, err := json.Marshal(map[string]any{"id": id, "amount": float64(cents) / 100})
		if err != nil {
			t.Fatal(err)
		}
		lifted, err := processedV2(v1)
		if err != nil {
			t.Fatal(err)
		}
		var got Processed
		if err := json.Unmarshal(lifted, &got); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%d.%02d", cents/100, cents%100); got.Amount.Value != want {
			t.Fatalf("%s is lifted to %s, want %s", v1, got.Amount.Value, want)
		}
	})
}
