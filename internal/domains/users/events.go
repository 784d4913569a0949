package users

import "onepg/internal/eventsourcing"

// Event is one of the facts about a user.
//
//sumtype:decl
type Event interface{ aboutUser() }

// Created is the first fact about a user.
type Created struct {
	Name  string `json:"name"  doc:"What the user is called"       example:"Ada Lovelace"    minLength:"1" maxLength:"200"`
	Email string `json:"email" doc:"Where the user can be reached" example:"ada@example.com" format:"email" maxLength:"254"`
}

// Updated changes what it names and leaves the rest. It names at least one.
type Updated struct {
	Name  *string `json:"name,omitempty"  doc:"The new name"    example:"Ada King"         minLength:"1" maxLength:"200"`
	Email *string `json:"email,omitempty" doc:"The new address" example:"ada@example.org"  format:"email" maxLength:"254"`
}

// Deleted is the last fact about a user.
type Deleted struct {
	Reason *string `json:"reason,omitempty" doc:"Why, for people" example:"asked for it" maxLength:"1000"`
}

// Reverted makes the user again what it was at a version, also after it was
// deleted. It carries what that was, so that nobody has to read the past to
// fold it.
type Reverted struct {
	ToVersion int                `json:"to_version" doc:"The version it was put back to" example:"1"`
	Name      string             `json:"name"       doc:"What the user was called then" example:"Ada Lovelace"`
	Email     string             `json:"email"      doc:"Where the user could be reached then" example:"ada@example.com"`
	CreatedAt eventsourcing.Time `json:"created_at" doc:"When the user was created"`
}

func (Created) aboutUser()  {}
func (Updated) aboutUser()  {}
func (Deleted) aboutUser()  {}
func (Reverted) aboutUser() {}

// events are the definitions from which validation, specification and
// catalogue are made. Their names are on disk and never change.
func events() []eventsourcing.EventType {
	return []eventsourcing.EventType{
		eventsourcing.Type[Created]("user.created", eventsourcing.Creates),
		eventsourcing.Type[Updated]("user.updated", eventsourcing.Changes, eventsourcing.AtLeast(1)),
		eventsourcing.Type[Deleted]("user.deleted", eventsourcing.Ends),
		eventsourcing.Type[Reverted]("user.reverted", eventsourcing.Restores, eventsourcing.ServerOnly),
	}
}
