package cmd

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"onepg/internal/aggregator/aggregatortest"
	"onepg/internal/domains"
	"onepg/internal/domains/users"
	"onepg/internal/eventsourcing"
)

// The commands work on a database without a server: status, what is parked, a
// rebuild, a retry.
func TestViewsAreWatchedAndMendedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	domain := users.New(domains.Deps{})
	w := aggregatortest.NewWorld(t, domain.Events)
	app := func(args ...string) outcome {
		return invoke(t, []string{"APP_DATABASE_URL=" + w.URL}, append([]string{"views"}, args...)...)
	}
	sick := uuid.New()
	for id, payload := range map[uuid.UUID]string{
		uuid.New(): `{"name":"Ada","email":"ada@example.com"}`, uuid.New(): `{"name":"Eve","email":"eve@example.com"}`, sick: `{"name":5}`,
	} {
		_, err := w.Log.Append(t.Context(), []eventsourcing.Event{
			{ID: uuid.New(), AggregateID: id, Name: "user.created", Payload: json.RawMessage(payload)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := app("status"); got.code != exitDone || !strings.Contains(got.stdout, "VIEW") || !strings.Contains(got.stdout, "\nusers ") {
		t.Errorf("before anything ran: %+v", got)
	}
	views := w.Runner(aggregatortest.Replica{Known: domain.Events, Views: domain.Views})
	if err := views.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Exec("DELETE FROM users") // what a rebuild mends
	if got := app("rebuild", "users"); got.code != exitDone || got.stdout != "The view users is rebuilt.\n" {
		t.Errorf("rebuild: %+v", got)
	}
	if names := w.Strings("SELECT name FROM users ORDER BY 1"); strings.Join(names, " ") != "Ada Eve" {
		t.Errorf("rebuilt: %q", names)
	}
	type standing struct {
		Name             string
		Parked, Position int
	}
	var status []standing
	if got := app("status", "-o", "json"); json.Unmarshal([]byte(got.stdout), &status) != nil || !slices.Contains(status, standing{"users", 1, 3}) {
		t.Errorf("status: %+v", got)
	}
	if got := app("parked", "users"); !strings.Contains(got.stdout, sick.String()) || !strings.Contains(got.stdout, "cannot unmarshal number") {
		t.Errorf("parked: %+v", got)
	}
	for _, args := range [][]string{{"retry", "users"}, {"retry", "users", sick.String()}} {
		if got := app(args...); got.code != exitDone || !strings.Contains(got.stdout, "1 parked aggregates are due now") {
			t.Errorf("%v: %+v", args, got)
		}
	}
	const unknown = `There is no view "nobody". There are: `
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"rebuild", "nobody"}, unknown},
		{[]string{"retry", "nobody"}, unknown},
		{[]string{"parked", "nobody"}, unknown},
		{[]string{"retry", "users", uuid.NewString()}, "is not parked"},
	} {
		if got := app(test.args...); got.code != exitFailure || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%v: %+v", test.args, got)
		}
	}
}
