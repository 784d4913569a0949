package aggregator_test

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/eventsourcing"
)

// subject is the view under test, whose log also has events that it cannot apply.
func subject() aggregatortest.Subject {
	return aggregatortest.Subject{View: things(), Events: types(), Table: table, MustHand: true}
}

func TestTheViewUnderTestObeysTheLaws(t *testing.T) {
	t.Parallel()
	aggregatortest.Laws(t, subject())
}

// noted is an event with what PostgreSQL does not keep as it is written.
type noted struct {
	At  time.Time       `json:"at"`
	Due *time.Time      `json:"due,omitempty"`
	Any json.RawMessage `json:"any"`
}

type note struct {
	ID      uuid.UUID           `bun:"id,pk,type:uuid"`
	At      time.Time           `bun:"at,type:timestamptz"`
	Due     *eventsourcing.Time `bun:"due,type:timestamptz"`
	Any     json.RawMessage     `bun:"any,type:jsonb"`
	Version int                 `bun:"version,type:integer"`
}

// Such a row is not handed over, because it would not be the one that is read.
func TestAViewOfWhatIsReadOtherwiseThanWrittenObeysTheLaws(t *testing.T) {
	t.Parallel()
	aggregatortest.Laws(t, aggregatortest.Subject{
		View: aggregator.Define[note, noted]("notes", "note", func(n *note, e noted, from eventsourcing.Recorded) (*note, error) {
			next := note{ID: from.AggregateID, At: e.At, Any: e.Any, Version: from.Version}
			if n != nil {
				next.Due = n.Due
			}
			if e.Due != nil {
				next.Due = &eventsourcing.Time{Time: *e.Due}
			}
			return &next, nil
		}),
		Events: []eventsourcing.EventType{
			eventsourcing.Type[noted]("note.made", eventsourcing.Creates),
			eventsourcing.Type[noted]("note.changed", eventsourcing.Changes),
		},
		Table: `CREATE TABLE notes (id uuid PRIMARY KEY, at timestamptz NOT NULL, due timestamptz, "any" jsonb, version integer NOT NULL)`,
	})
}

// forgetful keeps something beside its columns, which is gone in the next batch.
type forgetful struct {
	ID     uuid.UUID `bun:"id,pk,type:uuid"`
	Sum    int       `bun:"sum,type:integer"`
	Streak int       `bun:"-"`
	Ver    int       `bun:"version,type:integer"`
}

func streaks(r *forgetful, e event, from eventsourcing.Recorded) (*forgetful, error) {
	next := forgetful{ID: from.AggregateID, Ver: from.Version}
	switch e.(type) {
	case broken:
		return nil, nil //nolint:nilnil // the thing is no more
	case added:
		next.Streak = r.Streak + 1
		next.Sum = r.Sum + next.Streak
	case made:
	}
	return &next, nil
}

// counting makes a row depend on how often events were folded.
func counting() aggregator.View {
	var calls atomic.Int64
	return aggregator.Define[thing, event]("things", "thing", func(t *thing, e event, from eventsourcing.Recorded) (*thing, error) {
		next, err := evolve(t, e, from)
		if next != nil {
			next.Sum = int(calls.Add(1))
		}
		return next, err
	})
}

// healthy applies everything: a view with something parked is not resumed.
func healthy() aggregator.View {
	return aggregator.Define[thing, event]("things", "thing", func(t *thing, e event, from eventsourcing.Recorded) (*thing, error) {
		if n, ok := e.(added); ok {
			return &thing{ID: t.ID, Sum: t.Sum + n.N, Version: from.Version}, nil
		}
		return evolve(t, e, from)
	})
}

// misremember changes what is remembered.
func misremember(w *aggregatortest.World) {
	w.Misremember(func(e *eventsourcing.Recorded) {
		if e.Name == "thing.added" {
			e.Payload = json.RawMessage(`{"n":1}`)
		}
	})
}

// Each law finds the defect that it is for.
func TestTheLawsFindDefects(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		law   aggregatortest.Law
		view  aggregator.View
		plant func(*aggregatortest.World)
	}{
		"locks that go back with the position let events in twice": {
			aggregatortest.Twice, things(), func(w *aggregatortest.World) {
				w.Exec(`CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
				  DELETE FROM view_locks WHERE aggregate_id NOT IN (SELECT aggregate_id FROM view_parked);
				  INSERT INTO view_locks SELECT 'things', aggregate_id, max(version) FROM events WHERE "position" <= NEW."position" GROUP BY 2
				      ON CONFLICT DO NOTHING;
				  RETURN NULL;
				END$$`)
				w.Exec(`CREATE TRIGGER follow AFTER UPDATE ON view_positions FOR EACH ROW
				  WHEN (NEW."position" < OLD."position") EXECUTE FUNCTION follow()`)
			},
		},
		"state that is no column is lost between batches": {
			aggregatortest.Split, aggregator.Define[forgetful, event]("things", "thing", streaks), nil,
		},
		"what the table changes is not what was handed over": {
			aggregatortest.Handed, things(), func(w *aggregatortest.World) {
				w.Exec(`CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.sum := NEW.sum + 1; RETURN NEW; END'`)
				w.Exec(`CREATE TRIGGER more BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION more()`)
			},
		},
		"what is remembered otherwise than it was recorded":   {aggregatortest.Remembered, things(), misremember},
		"what is remembered otherwise, by one who is killed":  {aggregatortest.RememberedKilled, healthy(), misremember},
		"what is remembered otherwise, by two at once":        {aggregatortest.RememberedTogether, things(), misremember},
		"a fold that is not pure does not come out again":     {aggregatortest.Rebuilt, counting(), nil},
		"a fold that counts its calls sees the kill":          {aggregatortest.Killed, counting(), nil},
		"a fold that counts its calls sees the rebuild's":     {aggregatortest.RebuildKilled, counting(), nil},
		"a fold that counts its calls sees another replica's": {aggregatortest.Together, counting(), nil},
		"locks that lag behind by one are refused only with a check": {
			aggregatortest.Refused, things(), func(w *aggregatortest.World) {
				// Every lock that is set or lowered is gone, so that nothing is refused.
				w.Exec(`CREATE FUNCTION raise_lock() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'`)
				w.Exec(`CREATE TRIGGER raise_lock BEFORE UPDATE ON view_locks FOR EACH ROW WHEN (NEW.version < OLD.version) EXECUTE FUNCTION raise_lock()`)
			},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := subject()
			s.View, s.Tamper = c.view, c.plant
			if err := s.Obeys(t, c.law); err == nil {
				t.Error("the law found nothing")
			} else {
				t.Log(err)
			}
		})
	}
}
