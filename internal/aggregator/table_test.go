package aggregator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"onepg/internal/aggregator"
	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/eventsourcing"
)

type word string

type detail struct {
	Text string `json:"text"`
}

// everything has a column of each type that a row may have.
type everything struct {
	bun.BaseModel `bun:"table:everything"`

	ID        uuid.UUID           `bun:"id,pk,type:uuid"`
	Other     *uuid.UUID          `bun:"other,type:uuid"`
	Text      string              `bun:"text,type:text"`
	MaybeText *string             `bun:"maybe_text,type:text"`
	Word      word                `bun:"word,type:text"`
	MaybeWord *word               `bun:"maybe_word,type:text"`
	Number    int64               `bun:"number,type:bigint"`
	Maybe     *int                `bun:"maybe,type:integer"`
	Exact     string              `bun:"exact,type:numeric"`
	Float     float64             `bun:"float,type:double precision"`
	Yes       bool                `bun:"yes,type:boolean"`
	MaybeYes  *bool               `bun:"maybe_yes,type:boolean"`
	At        eventsourcing.Time  `bun:"at,type:timestamptz"`
	MaybeAt   *eventsourcing.Time `bun:"maybe_at,type:timestamptz"`
	Raw       json.RawMessage     `bun:"raw,type:json"`
	Detail    detail              `bun:"detail,type:jsonb"`
	MaybeDet  *detail             `bun:"maybe_detail,type:jsonb"`
	List      []string            `bun:"list,type:jsonb"`
	Bytes     []byte              `bun:"bytes,type:bytea"`
	Version   int                 `bun:"version,type:integer"`
}

const everythingTable = `CREATE TABLE everything (id uuid PRIMARY KEY, other uuid, text text, maybe_text text, word text, maybe_word text,
  number bigint, maybe integer, exact numeric, float double precision, yes boolean, maybe_yes boolean,
  at timestamptz, maybe_at timestamptz, raw json, detail jsonb, maybe_detail jsonb, list jsonb, bytes bytea, version integer)`

// What evolve made is what the row says, and what the next batch gets.
func TestEveryTypeOfColumnIsWrittenAndReadBack(t *testing.T) {
	t.Parallel()
	odd := "it's \\ \" , {} ? ?0 $1 -- NULL \U0001F600\u2028"
	w := word(odd)
	id, n, yes, at := uuid.New(), -7, true, eventsourcing.At(time.Now())
	for what, want := range map[string]everything{
		"full": {
			Other: &id, Text: odd, MaybeText: &odd, Word: w, MaybeWord: &w, Number: -1 << 62, Maybe: &n, Exact: "-12345678901234567890.10", Float: 1e-7,
			Yes: true, MaybeYes: &yes, At: at, MaybeAt: &at, Raw: json.RawMessage(`{"a":"C:\\u0000dir it's"}`), Detail: detail{odd}, MaybeDet: &detail{odd},
			List: []string{odd, "", "b"}, Bytes: []byte{0, 1, 255, '\''},
		},
		"empty": {Exact: "0", At: at, Text: "", List: []string{}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			world := newWorld(t)
			world.Exec(everythingTable)
			var seen *everything
			view := aggregator.Define[everything, event]("everything", "thing", func(row *everything, _ event, from eventsourcing.Recorded) (*everything, error) {
				seen = row
				next := want
				next.ID, next.Version = from.AggregateID, from.Version
				return &next, nil
			})
			r := world.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{view}, Window: 1})
			thing := uuid.New()
			world.append(thing, made{}, added{1})
			if err := r.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			var stored everything
			if err := world.DB.NewSelect().Model(&stored).Scan(t.Context()); err != nil {
				t.Fatal(err)
			}
			want.ID, want.Version = thing, 2
			if diff := cmp.Diff(want, stored); diff != "" {
				t.Errorf("stored (-want +got): %s", diff)
			}
			want.Version = 1
			if diff := cmp.Diff(&want, seen); diff != "" {
				t.Errorf("given to the next event (-want +got): %s", diff)
			}
		})
	}
}

func TestAColumnThatCannotBeWrittenIsNamed(t *testing.T) {
	t.Parallel()
	type row struct {
		ID   uuid.UUID `bun:"id,pk,type:uuid"`
		Tags []string  `bun:"tags,type:text"`
	}
	w := newWorld(t)
	w.append(uuid.New(), made{})
	view := aggregator.Define[row, event]("things", "thing", func(_ *row, _ event, from eventsourcing.Recorded) (*row, error) {
		return &row{ID: from.AggregateID, Tags: []string{"a"}}, nil
	})
	err := w.Runner(aggregatortest.Replica{Known: types(), Views: []aggregator.View{view}}).CatchUp(t.Context())
	if want := "column tags of things"; err == nil || !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// Somebody has put a row there, or a restore has.
func TestARowThatNoLockSpeaksOfIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stray, other := uuid.New(), uuid.New()
	w.Exec("INSERT INTO things VALUES (?, 77, 9)", stray)
	w.append(stray, made{}, added{2})
	w.append(other, made{}, added{3})
	r := w.replica(types())
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.sums(); got[stray] != 2 || got[other] != 3 || w.status(r).Parked != 0 {
		t.Errorf("sums %v, %+v", got, w.status(r))
	}
}
