package tail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Message is one message of a stream. It is made once and shared by all who
// take it, so nothing of it is ever changed.
type Message struct {
	Position int64
	// Aggregate, AggregateID, Name and CorrelationID are what a Filter looks at.
	Aggregate     string
	AggregateID   uuid.UUID
	Name          string
	CorrelationID string // of the metadata
	// RecordedAt is the time of the event behind it.
	RecordedAt time.Time
	// Frame is the message as it goes over the wire: text/event-stream, with
	// the position as its id and the empty line that ends it.
	Frame []byte
}

// Filter selects messages; a zero field is no condition.
type Filter struct {
	Aggregate     string
	AggregateID   uuid.UUID
	Name          string
	CorrelationID string
}

func (f Filter) selects(m *Message) bool {
	return (f.Aggregate == "" || f.Aggregate == m.Aggregate) &&
		(f.AggregateID == uuid.Nil || f.AggregateID == m.AggregateID) &&
		(f.Name == "" || f.Name == m.Name) &&
		(f.CorrelationID == "" || f.CorrelationID == m.CorrelationID)
}

// selectFrom gives the selected messages; without a condition the slice itself.
func (f Filter) selectFrom(messages []*Message) []*Message {
	if f == (Filter{}) {
		return messages
	}
	var selected []*Message
	for _, m := range messages {
		if f.selects(m) {
			selected = append(selected, m)
		}
	}
	return selected
}

// frame writes a message as text/event-stream (HTML standard, 9.2.5).
func frame(position int64, event string, data any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("id: ")
	b.WriteString(strconv.FormatInt(position, 10))
	b.WriteString("\nevent: ")
	b.WriteString(event)
	b.WriteString("\ndata: ")
	// One line whatever the payload looked like: the encoder leaves out the
	// white space of raw JSON, and ends with the newline that is needed here.
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(data); err != nil {
		return nil, fmt.Errorf("encode the message at position %d: %w", position, err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
