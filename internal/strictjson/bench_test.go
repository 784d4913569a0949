package strictjson_test

import (
	"strings"
	"testing"

	"onepg/internal/strictjson"
)

// event is what a client of the hottest route typically sends.
const event = `{"id":"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01","aggregate_id":"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0b01",` +
	`"name":"user.created","payload":{"name":"Ada Lovelace","email":"ada@example.com"},"expected_version":0,` +
	`"metadata":{"correlation_id":"42"}}`

func BenchmarkParseEvent(b *testing.B) {
	body := []byte(event)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var report strictjson.Report
		if _, err := strictjson.Parse(body, limits, &report); err != nil {
			b.Fatal(err)
		}
	}
}

// Not parallel: other tests would be counted too.
func TestAnEventIsParsedWithThreeAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process.
	body, sum := []byte(event), 0
	var report strictjson.Report
	allocations := testing.AllocsPerRun(100, func() {
		root, err := strictjson.Parse(body, limits, &report)
		if err != nil {
			t.Fatal(err)
		}
		for name, member := range root.Members() {
			sum += len(name) + len(member.Text()) + len(member.Raw())
		}
	})
	if allocations > 3 {
		t.Errorf("%.0f allocations, want 3: the text, its nodes and the document", allocations)
	}
}

// Names are few here, and still must not be decoded for each comparison.
func TestEachNameWithEscapesIsDecodedOnce(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process.
	const names = 16
	body := []byte(strings.ReplaceAll(manyMembers(names-1, `"z":0`), "k", `\u006b`))
	var report strictjson.Report
	allocations := testing.AllocsPerRun(100, func() {
		if _, err := strictjson.Parse(body, limits, &report); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 2*names {
		t.Errorf("%.0f allocations for %d names", allocations, names)
	}
}
