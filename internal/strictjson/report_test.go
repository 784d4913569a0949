package strictjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onepg/internal/fault"
	"onepg/internal/strictjson"
)

func TestAReportIsInTheOrderOfTheBody(t *testing.T) {
	t.Parallel()
	var report strictjson.Report
	root, err := strictjson.Parse([]byte(`{"a":1,"b":{"c":"\u0000"},"d":true}`), limits, &report)
	if err != nil {
		t.Fatal(err)
	}
	for name, member := range root.Members() {
		if name != "b" {
			report.Add(member, "must be text")
			continue
		}
		report.AddMember(member, "x/y", "is required")
	}
	want := []fault.Field{
		{Pointer: "/a", Detail: "must be text"},
		{Pointer: "/b/x~1y", Detail: "is required"},
		{Pointer: "/b/c", Detail: `must not contain the character \u0000`},
		{Pointer: "/d", Detail: "must be text"},
	}
	if diff := cmp.Diff(want, fields(t, report.Err())); diff != "" {
		t.Error(diff)
	}
}

func TestAnEmptyReportIsNoError(t *testing.T) {
	t.Parallel()
	var report strictjson.Report
	if err := report.Err(); err != nil || !report.Empty() {
		t.Errorf("Err = %v, Empty = %t", err, report.Empty())
	}
}

func TestAReportListsAtMost100Mistakes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{99: 99, 100: 100, 101: 101, 5000: 101} {
		got := mistakes(t, "["+strings.Repeat("1e999,", n-1)+"1e999]")
		if len(got) != want {
			t.Errorf("%d mistakes are listed as %d", n, len(got))
		}
		if last := got[len(got)-1]; n > 100 && last != (fault.Field{Detail: "has more mistakes than the 100 listed"}) {
			t.Errorf("the last line of %d mistakes is %+v", n, last)
		}
	}
}

func TestAReportStaysSmallerThanAHostileBody(t *testing.T) {
	t.Parallel()
	for name, long := range map[string]string{
		"plain":   strings.Repeat("n", 500_000),
		"escaped": strings.Repeat(`\u0061`, 80_000),
		"nested":  strings.Repeat("m", 400),
	} {
		body := `{"payload":{"` + long + `":{"` + long + `":[` + strings.Repeat("1e999,", 200) + `0]}}}`
		got := mistakes(t, body)
		answer, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if len(answer) > 128<<10 {
			t.Errorf("%s: the answer to %d bytes has %d", name, len(body), len(answer))
		}
		if !strings.HasPrefix(got[0].Pointer, "/payload") || !strings.HasSuffix(got[0].Detail, "too long to show)") {
			t.Errorf("%s: first mistake = %.200v, want it at the nearest ancestor", name, got[0])
		}
	}
}
