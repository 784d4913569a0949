package eventstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// line is an exported event: a recorded event as the API shows it. Where a
// payload's text has line breaks it is there twice, once as JSON on one line and
// once as a string of exactly what was sent: seals are over that.
type line struct {
	eventsourcing.Recorded

	PayloadText *string `json:"payload_text,omitempty"`
}

// AppendLine writes the event as a line of an export, with its line break. It is
// by hand because encoding/json would touch the payload, which must come back to
// the byte.
func AppendLine(b []byte, e eventsourcing.Recorded) ([]byte, error) {
	payload := []byte(e.Payload)
	exact := bytes.ContainsAny(payload, "\r\n")
	if exact {
		var compact bytes.Buffer
		if err := json.Compact(&compact, payload); err != nil {
			return b, fmt.Errorf("write event %s at position %d: %w", e.ID, e.Position, err)
		}
		payload = compact.Bytes()
	}
	b = fmt.Appendf(b, `{"id":"%s","aggregate_id":"%s","aggregate":"%s","name":"%s","schema_version":%d,"version":%d,"position":%d,"payload":%s`,
		e.ID, e.AggregateID, e.Aggregate, e.Name, e.SchemaVersion, e.Version, e.Position, payload)
	if exact {
		b = append(b, `,"payload_text":`...)
		b = appendString(b, string(e.Payload))
	}
	b = append(b, `,"metadata":`...)
	b = append(b, e.Metadata...)
	b = append(b, `,"actor":`...)
	b = appendString(b, e.Actor)
	b = fmt.Appendf(b, `,"recorded_at":"%s"}`, e.RecordedAt)
	return append(b, '\n'), nil
}

// appendString writes a JSON string.
func appendString(b []byte, s string) []byte {
	text, _ := json.Marshal(s) //nolint:errchkjson // a string has no way to fail
	return append(b, text...)
}

// readLine reads what AppendLine wrote. It is lenient about the order and the
// spacing of fields, and about aggregate, which the name says already.
func readLine(text []byte) (eventsourcing.Recorded, error) {
	var l line
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return l.Recorded, fmt.Errorf("not an exported event: %w", err)
	}
	if decoder.InputOffset() != int64(len(bytes.TrimRight(text, " \t\r\n"))) {
		return l.Recorded, errors.New("more than one event on a line")
	}
	switch {
	case l.ID == uuid.Nil, l.AggregateID == uuid.Nil, l.Name == "", l.Position == 0, l.Version == 0, l.Payload == nil, l.RecordedAt.IsZero():
		return l.Recorded, errors.New("not an exported event: a field is missing")
	case l.PayloadText != nil:
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(*l.PayloadText)); err != nil || !bytes.Equal(compact.Bytes(), l.Payload) {
			return l.Recorded, errors.New("payload_text is not the payload")
		}
		l.Payload = json.RawMessage(*l.PayloadText)
	}
	if l.Metadata == nil {
		l.Metadata = json.RawMessage("{}")
	}
	return l.Recorded, nil
}
