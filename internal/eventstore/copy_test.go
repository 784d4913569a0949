package eventstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/eventsourcing"
	"onepg/internal/eventstore"
)

// fillOddly appends n events of a few aggregates, some of them odd.
func fillOddly(tb testing.TB, l *eventstore.Log, n int) {
	tb.Helper()
	var batch []eventsourcing.Event
	var ids []uuid.UUID
	for i := range n {
		switch i % 5 {
		case 0:
			e := odd()
			ids = append(ids, e.AggregateID)
			batch = append(batch, e)
		default:
			batch = append(batch, event(ids[i%len(ids)], "thing.changed"))
		}
		if len(batch) == 1000 || i == n-1 {
			if _, err := l.Append(tb.Context(), batch); err != nil {
				tb.Fatal(err)
			}
			batch = nil
		}
	}
}

func export(tb testing.TB, db bun.IDB, q eventstore.Query) string {
	tb.Helper()
	var b bytes.Buffer
	if _, err := eventstore.Export(tb.Context(), db, &b, q, eventstore.ExportOptions{}); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func TestAnExportedLogIsImportedToTheByte(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	fillOddly(t, l, 4321)
	want := export(t, db, eventstore.Query{})
	if lines := strings.Count(want, "\n"); lines != 4321 {
		t.Fatalf("%d lines", lines)
	}
	seal(t, db, 1000)

	l2, db2 := open(t)
	done, err := eventstore.Import(t.Context(), db2, strings.NewReader(want))
	if err != nil || done.Read != 4321 || done.New != 4321 || done.Last != 4321 {
		t.Fatalf("%+v, %v", done, err)
	}
	if export(t, db2, eventstore.Query{}) != want {
		t.Error("the export after the import differs")
	}
	assertGapless(t, l2, 4321)
	seal(t, db2, 1000)
	if a, b := seals(t, db), seals(t, db2); a[len(a)-1].Hash != b[len(b)-1].Hash {
		t.Error("the imported log has another seal, so a byte is different")
	}
	if _, err := l2.Append(t.Context(), events(uuid.New(), "thing.made")); err != nil {
		t.Errorf("append after the import: %v", err)
	}
	assertGapless(t, l2, 4322)
}

func TestImportingTwiceIsImportingOnce(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	fillOddly(t, l, 30)
	part := export(t, db, eventstore.Query{UpTo: 20})
	whole := export(t, db, eventstore.Query{})
	rest := export(t, db, eventstore.Query{After: 20})

	_, db2 := open(t)
	for _, step := range []struct {
		file string
		read int64
		new  int64
	}{{part, 20, 20}, {part, 20, 0}, {whole, 30, 10}, {rest, 10, 0}, {"\n", 0, 0}} {
		done, err := eventstore.Import(t.Context(), db2, strings.NewReader(step.file))
		if err != nil || done.Read != step.read || done.New != step.new {
			t.Fatalf("%+v, %v, want %d of %d", done, err, step.new, step.read)
		}
	}
	if export(t, db2, eventstore.Query{}) != whole {
		t.Error("the log differs")
	}
}

// edit changes field of line n (from 1) of an export.
func edit(t *testing.T, file string, n int, field string, value any) string {
	t.Helper()
	lines := strings.SplitAfter(file, "\n")
	var e map[string]any
	if err := json.Unmarshal([]byte(lines[n-1]), &e); err != nil {
		t.Fatal(err)
	}
	e[field] = value
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	lines[n-1] = string(text) + "\n"
	return strings.Join(lines, "")
}

func TestAnImportThatDoesNotFitWritesNothing(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	made := event(uuid.New(), "thing.made")
	for _, e := range []eventsourcing.Event{
		made, event(made.AggregateID, "thing.changed"), event(uuid.New(), "other.made"), event(made.AggregateID, "thing.changed"),
		event(made.AggregateID, "thing.broken"), event(made.AggregateID, "thing.mended"),
	} {
		if _, err := l.Append(t.Context(), []eventsourcing.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	file := export(t, db, eventstore.Query{})
	lines := strings.SplitAfter(file, "\n")
	for name, c := range map[string]struct {
		known int // how many lines are imported before
		file  string
		code  string
	}{
		"a position is missing":           {0, lines[0] + lines[2], "import-refused"},
		"it begins too late":              {0, lines[1], "import-refused"},
		"it begins too late for this log": {1, lines[2], "import-refused"},
		"a known event differs":           {2, edit(t, file, 2, "actor", "forged"), "import-refused"},
		"a known payload differs":         {2, edit(t, file, 1, "payload", map[string]any{"a": 1}), "import-refused"},
		"a version is skipped":            {0, edit(t, file, 4, "version", 4), "import-refused"},
		"a version is skipped later":      {2, edit(t, file, 4, "version", 4), "import-refused"},
		"an id comes twice":               {0, edit(t, file, 4, "id", made.ID), "import-refused"},
		"a first version comes twice":     {0, edit(t, file, 3, "aggregate_id", made.AggregateID), "import-refused"},
		"the name is unknown":             {0, edit(t, file, 6, "name", "thing.unheard_of"), "import-refused"},
		"the schema is unknown":           {0, edit(t, file, 6, "schema_version", 2), "import-refused"},
		"the time falls":                  {0, edit(t, file, 6, "recorded_at", "2001-01-01T00:00:00Z"), "import-refused"},
		"the time falls later":            {5, edit(t, file, 6, "recorded_at", "2001-01-01T00:00:00Z"), "import-refused"},
		"the time is to come":             {0, edit(t, file, 6, "recorded_at", "2999-01-01T00:00:00Z"), "import-refused"},
		"a life begins in the middle":     {0, edit(t, file, 2, "name", "thing.made"), "import-refused"},
		"a life begins with a change":     {0, edit(t, file, 3, "name", "other.changed"), "import-refused"},
		"a life goes on after its end":    {0, edit(t, file, 6, "name", "thing.changed"), "import-refused"},
		"goes on after its end, later":    {5, edit(t, file, 6, "name", "thing.changed"), "import-refused"},
		"an aggregate changes its kind":   {0, edit(t, file, 2, "name", "other.changed"), "import-refused"},
		"a payload is no object":          {0, edit(t, file, 6, "payload", []int{1}), "import-refused"},
		"a payload PostgreSQL cannot use": {0, edit(t, file, 6, "payload", map[string]any{"a": "\x00"}), "import-refused"},
		"a field is unknown":              {0, edit(t, file, 6, "colour", "red"), "import-unreadable"},
		"payload_text is not the payload": {0, edit(t, file, 6, "payload_text", `{"a":1}`), "import-unreadable"},
		"a line is an empty object":       {0, file + "{}\n", "import-unreadable"},
		"a time is missing":               {0, strings.Replace(file, `,"recorded_at":"`, `,"actor":"`, 1), "import-unreadable"},
		"a line is cut":                   {0, file[:len(file)-20], "import-unreadable"},
		"two events are on a line":        {0, strings.Replace(file, "\n", "", 1), "import-unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, target := open(t)
			if _, err := eventstore.Import(t.Context(), target, strings.NewReader(strings.Join(lines[:c.known], ""))); err != nil {
				t.Fatal(err)
			}
			before := export(t, target, eventstore.Query{})
			_, err := eventstore.Import(t.Context(), target, strings.NewReader(c.file))
			if code(err) != c.code {
				t.Errorf("outcome %q (%v), want %s", code(err), err, c.code)
			}
			if export(t, target, eventstore.Query{}) != before {
				t.Error("something was written")
			}
			if done, err := eventstore.Import(t.Context(), target, strings.NewReader(file)); err != nil || done.Last != 6 {
				t.Errorf("the good file after it: %+v, %v", done, err)
			}
		})
	}
}

func TestAnExportKeepsToItsQuery(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	id := uuid.New()
	all := append(events(id, "thing.made", "thing.changed"), events(uuid.New(), "other.made", "other.changed")...)
	if _, err := l.Append(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		query eventstore.Query
		want  int
	}{
		"all":          {eventstore.Query{}, 4},
		"range":        {eventstore.Query{After: 1, UpTo: 3}, 2},
		"aggregate":    {eventstore.Query{Aggregate: "other"}, 2},
		"aggregate_id": {eventstore.Query{AggregateID: id}, 2},
		"name":         {eventstore.Query{Name: "thing.changed"}, 1},
		"beyond":       {eventstore.Query{After: 9}, 0},
	} {
		if got := strings.Count(export(t, db, c.query), "\n"); got != c.want {
			t.Errorf("%s: %d events, want %d", name, got, c.want)
		}
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestAnExportThatCannotBeWrittenFails(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	fillOddly(t, l, 1)
	full := errors.New("disk full")
	if _, err := eventstore.Export(t.Context(), db, failingWriter{full}, eventstore.Query{}, eventstore.ExportOptions{}); !errors.Is(err, full) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := eventstore.Export(ctx, db, &bytes.Buffer{}, eventstore.Query{}, eventstore.ExportOptions{}); err == nil {
		t.Error("a cancelled export succeeded")
	}
}

func BenchmarkCopy(b *testing.B) {
	const size = 50_000
	l, db := open(b)
	fillOddly(b, l, size)
	file := export(b, db, eventstore.Query{})
	b.Run("export", func(b *testing.B) {
		for b.Loop() {
			export(b, db, eventstore.Query{})
		}
		b.ReportMetric(size*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("import", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			_, target := open(b)
			b.StartTimer()
			if _, err := eventstore.Import(b.Context(), target, strings.NewReader(file)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(size*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Logf("%d bytes an event", len(file)/size)
}
