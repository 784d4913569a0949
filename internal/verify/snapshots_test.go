package verify_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/domains/users"
	"onepg/internal/eventsourcing"
	"onepg/internal/verify"
)

// biography is the state of a write model of users: all names one has had.
type biography struct {
	Names []string `json:"names"`
}

// withBiographies gives options to verify a store with snapshots of biographies:
// one of each user, as the fold makes it.
func withBiographies(t *testing.T, s *store) verify.Options {
	t.Helper()
	decider, err := eventsourcing.NewDecider(s.domain.Events, func(state *biography, event users.Event, _ eventsourcing.Recorded) (*biography, error) {
		next := biography{Names: []string{}}
		if state != nil {
			next.Names = append(next.Names, state.Names...)
		}
		switch e := event.(type) {
		case users.Created:
			next.Names = append(next.Names, e.Name)
		case users.Updated:
			next.Names = append(next.Names, *e.Name)
		case users.Deleted, users.Reverted:
		}
		return &next, nil
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	s.exec(`INSERT INTO snapshots (aggregate_id, version, schema, state)
	 SELECT aggregate_id, max(version), ?, json_build_object('names', coalesce(json_agg(payload ->> 'name' ORDER BY version) FILTER (WHERE payload ->> 'name' IS NOT NULL), '[]'))
	   FROM events GROUP BY aggregate_id`, decider.Schema())
	o := s.options()
	o.Models = []eventsourcing.Model{decider.Model()}
	return o
}

func TestASnapshotThatIsNotItsFoldIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage   string // may name the user whose second event is at position 8
		position int64
		words    string // empty: nothing is wrong
	}{
		"nothing":              {"SELECT 1", 0, ""},
		"state":                {`UPDATE snapshots SET state = '{"names":["Mallory"]}' WHERE aggregate_id = :user`, 8, "of version 2 is not the fold"},
		"state of an earlier":  {`UPDATE snapshots SET version = 1 WHERE aggregate_id = :user`, 6, "of version 1 is not the fold"},
		"version ahead":        {`UPDATE snapshots SET version = 9 WHERE aggregate_id = :user`, 8, "of version 9, and the log has 2"},
		"of nobody":            {`UPDATE snapshots SET aggregate_id = gen_random_uuid() WHERE aggregate_id = :user`, 0, "an aggregate that the log does not have"},
		"of another schema":    {`UPDATE snapshots SET schema = 'old', state = '{}' WHERE aggregate_id = :user`, 0, ""},
		"spaces":               {`UPDATE snapshots SET state = (' ' || state::text)::json WHERE aggregate_id = :user`, 0, ""},
		"events do not fold":   {`UPDATE events SET payload = '{"name":5}' WHERE "position" = 8`, 8, "do not fold"},
		"state of another one": {`UPDATE snapshots SET state = (SELECT state FROM snapshots WHERE aggregate_id <> :user LIMIT 1) WHERE aggregate_id = :user`, 8, "is not the fold"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.fill(50, 20)
			o := withBiographies(t, s)
			var user string
			if err := s.db.NewRaw(`SELECT aggregate_id FROM events WHERE "position" = 8`).Scan(t.Context(), &user); err != nil {
				t.Fatal(err)
			}
			s.tamper(strings.ReplaceAll(c.damage, ":user", "'"+user+"'"))
			report := s.verify(o)
			if c.words == "" {
				if !report.OK() || report.Snapshots < 34 {
					t.Errorf("%+v", report)
				}
				return
			}
			if !has(report, "snapshots", c.position, c.words) {
				t.Errorf("not found at %d: %+v", c.position, report.Findings)
			}
			for _, f := range report.Findings {
				if f.Check == "snapshots" && (f.AggregateID == nil || c.position > 0 && *f.AggregateID != uuid.MustParse(user)) {
					t.Errorf("of whom? %+v", f)
				}
			}
		})
	}
}
