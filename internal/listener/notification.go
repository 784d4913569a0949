package listener

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// EventsCreated is the channel on which the database announces appended
// events. Its payload is part of the public contract.
const EventsCreated = "events:created"

// A Notification is what the trigger on the log says about one new event. It
// is a hint and not a fact: NOTIFY is open to every role of the database, so
// the event may not exist.
type Notification struct {
	EventID     uuid.UUID
	Position    int64
	AggregateID uuid.UUID
}

// ParseNotification reads a payload of the form event_id,position,aggregate_id.
// It accepts exactly what the trigger writes, so for every accepted payload
// String gives it back unchanged; anything else is an error, never a panic.
func ParseNotification(payload string) (Notification, error) {
	fields := strings.SplitN(payload, ",", 4)
	if len(fields) != 3 {
		return Notification{}, fmt.Errorf("notification: want 3 fields, have %d", len(fields))
	}
	eventID, err := uuid.Parse(fields[0])
	if err != nil {
		return Notification{}, fmt.Errorf("notification: event id: %w", err)
	}
	position, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return Notification{}, fmt.Errorf("notification: position: %w", err)
	}
	aggregateID, err := uuid.Parse(fields[2])
	if err != nil {
		return Notification{}, fmt.Errorf("notification: aggregate id: %w", err)
	}
	n := Notification{EventID: eventID, Position: position, AggregateID: aggregateID}
	if !n.possible() || n.String() != payload {
		return Notification{}, fmt.Errorf("notification: %q is not one the trigger writes", payload)
	}
	return n, nil
}

// String gives the payload as the trigger writes it.
func (n Notification) String() string {
	return n.EventID.String() + "," + strconv.FormatInt(n.Position, 10) + "," + n.AggregateID.String()
}

// possible reports whether the log could hold such an event: positions start
// at 1, and the nil and max UUIDs are no ids.
func (n Notification) possible() bool {
	return n.Position > 0 &&
		n.EventID != uuid.Nil && n.EventID != uuid.Max &&
		n.AggregateID != uuid.Nil && n.AggregateID != uuid.Max
}
