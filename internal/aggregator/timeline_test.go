package aggregator_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"onepg/internal/aggregator"
	"onepg/internal/eventsourcing"
)

// question is one about the past of an aggregate.
type question struct {
	about    string
	id       uuid.UUID
	n, limit int
}

// ask gives the answer as text. It spoils the rows that it was given, as their
// owner may.
func (q question) ask(t *rapid.T, past aggregator.Past[account]) string {
	shown := func(row *account) string {
		if row == nil {
			return "none"
		}
		text := fmt.Sprint(*row)
		*row = account{-1, -1}
		return text
	}
	switch q.about {
	case "version":
		row, position, err := past.AtVersion(t.Context(), q.id, q.n)
		return fmt.Sprint(shown(row), position, err)
	case "position":
		row, version, err := past.AtPosition(t.Context(), q.id, int64(q.n))
		return fmt.Sprint(shown(row), version, err)
	default:
		changes, err := past.History(t.Context(), q.id, q.n, q.limit)
		text := fmt.Sprint(err)
		for _, c := range changes {
			text += fmt.Sprint("; ", c.Event.Version, c.Event.ID, c.Err)
		}
		for i, c := range changes { // a row is the one's after and the next one's before
			if i == len(changes)-1 {
				text += " from " + shown(c.Before)
			}
			text += " to " + shown(c.After)
		}
		return text
	}
}

// TestWhatIsRememberedChangesNoAnswer asks one Past, which remembers, what a new
// one for each question answers, while the log grows. Aggregates end and begin
// again, and some have events that cannot be applied or are not known.
func TestWhatIsRememberedChangesNoAnswer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		log := &memory{}
		ids := []uuid.UUID{{1}, {2}, {3}}
		past := pastOf(log)
		payload := rapid.Custom(func(t *rapid.T) any {
			switch rapid.IntRange(0, 200).Draw(t, "kind") { // small numbers are drawn more often
			case 91:
				return nonsense{}
			case 92:
				return errBroken
			case 93:
				return nil
			case 94, 95:
				return closing{}
			}
			return deposit(rapid.IntRange(1, 9).Draw(t, "sum"))
		})
		for range rapid.IntRange(1, 20).Draw(t, "questions") {
			grown := rapid.SampledFrom([]int{0, 1, 24, 25, 26, 60}).Draw(t, "grown")
			log.add(rapid.SampledFrom(ids).Draw(t, "grows"), rapid.SliceOfN(payload, grown, grown).Draw(t, "events")...)
			q := question{
				about: rapid.SampledFrom([]string{"version", "position", "history", "reach"}).Draw(t, "about"),
				id:    rapid.SampledFrom(ids).Draw(t, "id"),
				n:     rapid.IntRange(0, len(log.events)+2).Draw(t, "n"),
				limit: rapid.IntRange(1, 60).Draw(t, "limit"),
			}
			if q.about == "reach" {
				_, _ = past.Reach(t.Context(), q.id, q.n)
				continue
			}
			if got, want := q.ask(t, past), q.ask(t, pastOf(log)); got != want {
				t.Fatalf("%+v:\n got %s\nwant %s", q, got, want)
			}
		}
	})
}

// long is a log of one aggregate.
func long(id uuid.UUID, versions int) *memory {
	log := &memory{}
	for v := 1; v <= versions; v++ {
		log.events = append(log.events, eventsourcing.Recorded{ID: uuid.New(), AggregateID: id, Version: v, Position: int64(v)})
		log.payloads = append(log.payloads, deposit(1))
	}
	return log
}

// TestALongHistoryIsReachedInShortSteps counts events: no step towards a version
// reads many, and once it is reached the slider reads as few, wherever it goes.
func TestALongHistoryIsReachedInShortSteps(t *testing.T) {
	t.Parallel()
	const versions, few = 10_001, 30
	id := uuid.UUID{1}
	log := long(id, versions)
	timeline := aggregator.Define[account, any]("accounts", "account", sum).Timeline(log)
	steps := 0
	for reached := 0; reached < versions; steps++ {
		log.read = 0
		next, err := timeline.Reach(t.Context(), id, versions)
		if err != nil || next <= reached || log.read > few {
			t.Fatalf("from %d to %d, %d events read (%v)", reached, next, log.read, err)
		}
		reached = next
	}
	if steps > versions/20 {
		t.Errorf("%d steps", steps)
	}
	for _, version := range []int{versions, 1, 5000, 5001, 4999, 9999, 25, 26, 51, versions} {
		log.read = 0
		got, err := timeline.Steps(t.Context(), id, version+1, 1)
		if err != nil || len(got) != 1 || log.read > few {
			t.Fatalf("version %d: %d events read (%v)", version, log.read, err)
		}
		if want := fmt.Sprintf(`{"Sum":%d,"Version":%d}`, version, version); string(got[0].After) != want {
			t.Errorf("version %d is %s", version, got[0].After)
		}
		if next, err := timeline.Reach(t.Context(), id, version); err != nil || next != version {
			t.Errorf("version %d is reached up to %d (%v)", version, next, err)
		}
	}
	past := pastOf(log)
	for _, position := range []int64{versions, 5000, 5010, 4990} {
		log.read = 0
		if row, _, err := past.AtPosition(t.Context(), id, position); err != nil || row.Version != int(position) || log.read > few && position < versions {
			t.Errorf("position %d: %v, %d events read (%v)", position, row, log.read, err)
		}
	}
	if _, err := timeline.Reach(t.Context(), id, versions+1000); err == nil {
		t.Error("a version that is not there is reached")
	}
}

// TestWhatIsRememberedOfAnotherLogIsForgotten puts a backup, which went on
// otherwise, in the place of the log.
func TestWhatIsRememberedOfAnotherLogIsForgotten(t *testing.T) {
	t.Parallel()
	id := uuid.UUID{1}
	log := long(id, 200)
	past := pastOf(log)
	for what, exchange := range map[string]func(){
		"went on otherwise": func() {
			for i := range log.events {
				log.events[i].ID, log.payloads[i] = uuid.New(), deposit(2)
			}
		},
		"is shorter": func() { log.events = log.events[:60] },
	} {
		if _, _, err := past.AtVersion(t.Context(), id, len(log.events)); err != nil {
			t.Fatal(err)
		}
		exchange()
		for _, version := range []int{55, 60, 100, 150} {
			row, _, err := past.AtVersion(t.Context(), id, version)
			want, _, wanted := pastOf(log).AtVersion(t.Context(), id, version)
			if fmt.Sprint(err) != fmt.Sprint(wanted) || err == nil && *row != *want {
				t.Errorf("%s: version %d is %v (%v), want %v (%v)", what, version, row, err, want, wanted)
			}
		}
	}
}
