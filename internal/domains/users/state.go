package users

import (
	"fmt"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// User is a row of the view users: a user as the events so far make it.
type User struct {
	ID        uuid.UUID          `json:"id"         bun:"id,pk,type:uuid"`
	Name      string             `json:"name"       bun:"name,type:text"`
	Email     string             `json:"email"      bun:"email,type:text"`
	Version   int                `json:"version"    bun:"version,type:integer"`
	CreatedAt eventsourcing.Time `json:"created_at" bun:"created_at,type:timestamptz"`
	UpdatedAt eventsourcing.Time `json:"updated_at" bun:"updated_at,type:timestamptz"`
}

// evolve is the only way a row is ever computed. A nil row is no user.
func evolve(user *User, event Event, from eventsourcing.Recorded) (*User, error) {
	_, first := event.(Created)
	_, again := event.(Reverted)
	if first != (user == nil) && !again {
		return nil, fmt.Errorf("%s cannot follow: the user exists is %t", from.Name, user != nil)
	}
	next := User{ID: from.AggregateID, CreatedAt: from.RecordedAt}
	if user != nil {
		next = *user
	}
	switch e := event.(type) {
	case Created:
		next.Name, next.Email = e.Name, e.Email
	case Updated:
		if e.Name != nil {
			next.Name = *e.Name
		}
		if e.Email != nil {
			next.Email = *e.Email
		}
	case Reverted:
		next.Name, next.Email, next.CreatedAt = e.Name, e.Email, e.CreatedAt
	case Deleted:
		return nil, nil //nolint:nilnil // no row and no error is what a deletion means
	}
	next.Version, next.UpdatedAt = from.Version, from.RecordedAt
	return &next, nil
}

// revertTo is the event that makes a user what it was at a version.
func revertTo(then *User, version int) (name string, payload any) {
	return "user.reverted", Reverted{ToVersion: version, Name: then.Name, Email: then.Email, CreatedAt: then.CreatedAt}
}
