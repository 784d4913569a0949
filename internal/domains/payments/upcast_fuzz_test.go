package payments

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onepg/internal/eventsourcing"
)

// FuzzUpcast lifts whatever a log might hold: the result is a payload of the
// newest version or an error, the same each time, and what is stored stays.
func FuzzUpcast(f *testing.F) {
	registry, err := eventsourcing.NewRegistry(events()...)
	if err != nil {
		f.Fatal(err)
	}
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no golden files", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var golden struct{ Stored json.RawMessage }
		if err := json.Unmarshal(text, &golden); err != nil {
			f.Fatal(err)
		}
		name, _, _ := strings.Cut(filepath.Base(file), ".v")
		f.Add(name, 1, []byte(golden.Stored))
	}
	for _, amount := range []string{"1e999999999", "1e-999999999", "-0", "1E5", "99999999999999999999999999999999", "null", `"1"`} {
		f.Add("payment.processed", 1, []byte(`{"id":"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01","amount":`+amount+`}`))
	}
	f.Fuzz(func(t *testing.T, name string, version int, payload []byte) {
		stored := eventsourcing.Recorded{Name: name, SchemaVersion: version, Payload: slices.Clone(payload)}
		lifted, err := registry.Upcast(stored)
		if !bytes.Equal(stored.Payload, payload) {
			t.Fatal("the stored payload was changed")
		}
		if err != nil {
			return
		}
		kind, _ := registry.Lookup(name)
		if lifted.SchemaVersion != kind.SchemaVersion() || version < kind.SchemaVersion() && !json.Valid(lifted.Payload) {
			t.Fatalf("lifted to version %d: %s", lifted.SchemaVersion, lifted.Payload)
		}
		again, err := registry.Upcast(stored)
		if err != nil || !bytes.Equal(again.Payload, lifted.Payload) {
			t.Fatalf("lifted to %s and to %s, %v", lifted.Payload, again.Payload, err)
		}
		if _, _, err := registry.Read(stored); err == nil && version < kind.SchemaVersion() {
			if money, ok := readProcessed(t, registry, stored); ok && len(money) > 64 {
				t.Fatalf("an amount of %d characters", len(money))
			}
		}
	})
}

// readProcessed is the amount of a processed payment.
func readProcessed(t *testing.T, registry *eventsourcing.Registry, e eventsourcing.Recorded) (string, bool) {
	t.Helper()
	_, payload, err := registry.Read(e)
	if err != nil {
		t.Fatalf("read and not decoded: %v", err)
	}
	processed, ok := payload.(Processed)
	return processed.Amount.Value, ok
}
