package users

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// The whole meaning of the events: given these, a user is that.
func TestEventsMakeAUser(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	at := func(n int) eventsourcing.Time {
		return eventsourcing.At(time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC))
	}
	text := func(s string) *string { return &s }
	created := Created{Name: "Ada", Email: "ada@example.com"}
	for name, c := range map[string]struct {
		given []Event
		then  *User
		fails bool
	}{
		"nothing":           {nil, nil, false},
		"created":           {[]Event{created}, &User{id, "Ada", "ada@example.com", 1, at(1), at(1)}, false},
		"renamed":           {[]Event{created, Updated{Name: text("Eva")}}, &User{id, "Eva", "ada@example.com", 2, at(1), at(2)}, false},
		"moved":             {[]Event{created, Updated{Email: text("a@b.c")}}, &User{id, "Ada", "a@b.c", 2, at(1), at(2)}, false},
		"deleted":           {[]Event{created, Deleted{}}, nil, false},
		"put back":          {[]Event{created, Updated{Name: text("Eva")}, revertOf(&User{Name: "Ada", Email: "ada@example.com", CreatedAt: at(1)})}, &User{id, "Ada", "ada@example.com", 3, at(1), at(3)}, false},
		"brought back":      {[]Event{created, Deleted{}, revertOf(&User{Name: "Eva", Email: "a@b.c", CreatedAt: at(1)})}, &User{id, "Eva", "a@b.c", 3, at(1), at(3)}, false},
		"updated before":    {[]Event{Updated{Name: text("Eva")}}, nil, true},
		"created twice":     {[]Event{created, created}, nil, true},
		"updated afterward": {[]Event{created, Deleted{}, Updated{Name: text("Eva")}}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var user *User
			var err error
			for i, e := range c.given {
				before := user
				snapshot := copied(before)
				user, err = evolve(user, e, eventsourcing.Recorded{AggregateID: id, Version: i + 1, RecordedAt: at(i + 1)})
				if diff := cmp.Diff(snapshot, before); diff != "" {
					t.Errorf("the row before was changed: %s", diff)
				}
			}
			if (err != nil) != c.fails {
				t.Fatalf("error %v, want one: %t", err, c.fails)
			}
			if diff := cmp.Diff(c.then, user); err == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

// revertOf is the event that puts a user back to then.
func revertOf(then *User) Event {
	_, payload := revertTo(then, 1)
	return payload.(Event)
}

func copied(u *User) *User {
	if u == nil {
		return nil
	}
	c := *u
	return &c
}
