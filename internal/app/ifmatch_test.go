package app_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// renaming is an event that renames the user, expecting a version; -1 for none.
func renaming(user uuid.UUID, expected int) string {
	e := event(uuid.New(), user, "user.updated", `{"name":"B"}`)
	if expected >= 0 {
		e = strings.TrimSuffix(e, "}") + fmt.Sprintf(`,"expected_version":%d}`, expected)
	}
	return e
}

// currentVersion is what a conflict was decided against; -1 where it does not say.
func (a answer) currentVersion() int {
	problem := struct {
		Current *int `json:"current_version"`
	}{}
	if err := json.Unmarshal([]byte(a.body), &problem); err != nil || problem.Current == nil {
		return -1
	}
	return *problem.Current
}

// TestIfMatchAndExpectedVersionBothHoldOrNothingIsRecorded has a user at version
// 2, one that was deleted at version 2, and nobody.
func TestIfMatchAndExpectedVersionBothHoldOrNothingIsRecorded(t *testing.T) {
	t.Parallel()
	a := start(t)
	user, gone, nobody := uuid.New(), uuid.New(), uuid.New()
	a.append(user, "user.created", ada)
	a.append(user, "user.updated", `{"name":"B"}`)
	a.append(gone, "user.created", ada)
	a.append(gone, "user.deleted", `{}`)
	for what, c := range map[string]struct {
		body, match string
		status      int
		code        string
		current     int
	}{
		"neither holds":                         {renaming(user, 1), `"3"`, 412, "version-conflict", 2},
		"only expected_version holds":           {renaming(user, 2), `"3"`, 412, "version-conflict", 2},
		"only If-Match holds":                   {renaming(user, 3), `"2"`, 409, "version-conflict", 2},
		"only If-Match holds, in an array":      {"[" + renaming(user, 3) + "," + renaming(user, -1) + "]", `"2"`, 409, "version-conflict", 2},
		"neither holds of nobody":               {renaming(nobody, 3), `"2"`, 412, "version-conflict", 0},
		"both differ and are the same":          {renaming(user, 1), `"1"`, 412, "version-conflict", 2},
		"a weak tag":                            {renaming(user, -1), `W/"2"`, 412, "version-conflict", 2},
		"a weak tag, expected_version holds":    {renaming(user, 2), `W/"2"`, 412, "version-conflict", 2},
		"any, of nobody":                        {renaming(nobody, -1), `*`, 412, "version-conflict", 0},
		"any, of nobody as expected":            {renaming(nobody, 0), `*`, 412, "version-conflict", 0},
		"any, creating":                         {about(nobody), `*`, 412, "version-conflict", 0},
		"any, creating as expected":             {about(nobody, `"expected_version":0`), `*`, 412, "version-conflict", 0},
		"any, creating and more":                {"[" + about(nobody) + "," + renaming(nobody, -1) + "]", `*`, 412, "version-conflict", 0},
		"any, creating what exists":             {about(user), `*`, 409, "aggregate-exists", 2},
		"any, expected_version does not hold":   {renaming(user, 1), `*`, 409, "version-conflict", 2},
		"any, of the deleted":                   {renaming(gone, -1), `*`, 409, "aggregate-deleted", 2},
		"any, a later event does not fit":       {"[" + renaming(user, -1) + "," + about(user) + "]", `*`, 409, "aggregate-exists", 3},
		"the version, a later one does not fit": {"[" + renaming(user, -1) + "," + renaming(user, 7) + "]", `"2"`, 409, "version-conflict", 3},
	} {
		got := a.post(c.body, "If-Match: "+c.match)
		if got.status != c.status || got.code() != c.code || got.currentVersion() != c.current {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	if n := len(a.everything()); n != 4 {
		t.Errorf("%d events are recorded, want 4", n)
	}
}

// TestIfMatchThatHoldsIsAsIfItWereNotThere also repeats each request: it is
// answered as the first was, though its condition holds no longer.
func TestIfMatchThatHoldsIsAsIfItWereNotThere(t *testing.T) {
	t.Parallel()
	a := start(t)
	user := a.create(ada)
	for i, c := range []struct {
		body  string
		match []string
	}{
		{renaming(user, -1), []string{`"1"`, `"7"`, `*`, `W/"1"`}},
		{renaming(user, 2), []string{`"2"`, `"7"`, `*`, `W/"2"`}},
		{renaming(user, -1), []string{`*`, `"7"`}},
		{renaming(user, 4), []string{`*`, `"7"`}},
	} {
		first := a.post(c.body, "If-Match: "+c.match[0])
		if want := fmt.Sprintf(`"version":%d,`, i+2); first.status != 201 || !strings.Contains(first.body, want) {
			t.Fatalf("%s with %s: %d %s", c.body, c.match[0], first.status, first.body)
		}
		for _, match := range c.match {
			again := a.post(c.body, "If-Match: "+match)
			if want := strings.Replace(first.body, `"duplicate":false`, `"duplicate":true`, 1); again.status != 200 || again.body != want {
				t.Errorf("%s again with %s: %d %s", c.body, match, again.status, again.body)
			}
		}
	}
	if got := a.revert(user, uuid.New(), 1, "If-Match: *"); got.status != 201 || !strings.Contains(got.body, `"version":6,`) {
		t.Errorf("revert: %d %s", got.status, got.body)
	}
}

// TestPreconditionsThatContradictEachOtherNeverHold asks for two versions at once
// while the aggregate goes through both.
func TestPreconditionsThatContradictEachOtherNeverHold(t *testing.T) {
	t.Parallel()
	a := start(t)
	user := a.create(ada)
	const updates = 40
	var all sync.WaitGroup
	all.Go(func() {
		for range updates {
			a.post(renaming(user, -1))
		}
	})
	for match := 1; match <= updates; match += 3 {
		all.Go(func() {
			got := a.post(renaming(user, match+1), fmt.Sprintf(`If-Match: "%d"`, match))
			want := 412
			if got.currentVersion() == match {
				want = 409
			}
			if got.status != want || got.code() != "version-conflict" {
				t.Errorf("If-Match %d: %d %s", match, got.status, got.body)
			}
		})
	}
	all.Wait()
	if n := len(a.everything()); n != 1+updates {
		t.Errorf("%d events are recorded, want %d", n, 1+updates)
	}
}

// TestIfMatchAnyNeverCreates lets creations race with requests that
// ask for the aggregate to exist: those never create it.
func TestIfMatchAnyNeverCreates(t *testing.T) {
	t.Parallel()
	a := start(t)
	var all sync.WaitGroup
	for range 20 {
		user := uuid.New()
		all.Go(func() { a.post(about(user)) })
		all.Go(func() {
			got := a.post(about(user), "If-Match: *")
			if absent := got.status == 412 && got.currentVersion() == 0; !absent && got.code() != "aggregate-exists" {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	all.Wait()
	if n := len(a.everything()); n != 20 {
		t.Errorf("%d events are recorded, want 20", n)
	}
}
