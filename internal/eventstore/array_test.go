package eventstore

import (
	"database/sql"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onepg/internal/postgres"
	"onepg/internal/postgres/pgtest"
)

func TestArraysComeOutAsTheyWentIn(t *testing.T) {
	t.Parallel()
	texts := []string{"", "NULL", "null", `"`, `\`, `\\"`, "a,b", "{}", "{a", " edge ", "'", "''", "?", "$1", "\t\n", "ü€😀", `{"a":"C:\\u0000dir"}`}
	var names, numbers array
	for i, s := range texts {
		names.addText(s)
		numbers.addInt(i - 1)
	}
	names.addNull()
	numbers.addNull()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: pgtest.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM unnest(?::text[], ?::integer[])", &names, &numbers)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var got []string
	for rows.Next() {
		var text sql.NullString
		var number sql.NullInt64
		if err := rows.Scan(&text, &number); err != nil {
			t.Fatal(err)
		}
		if text.Valid != number.Valid {
			t.Errorf("element %d: %v beside %v", len(got), text, number)
		}
		if text.Valid && number.Int64 != int64(len(got)-1) {
			t.Errorf("element %d became %d", len(got)-1, number.Int64)
		}
		got = append(got, text.String)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append(texts, ""), got); diff != "" {
		t.Error(diff)
	}
}

func TestAnArrayWithoutValuesIsNull(t *testing.T) {
	t.Parallel()
	var none array
	none.addNull()
	none.addNull()
	if v, err := none.Value(); v != nil || err != nil {
		t.Errorf("two NULLs are %v, %v", v, err)
	}
	none.addInt(7)
	if v, err := none.Value(); v != "{NULL,NULL,7}" || err != nil {
		t.Errorf("the array is %v, %v", v, err)
	}
}
