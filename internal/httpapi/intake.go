package httpapi

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
	"onepg/internal/fault"
	"onepg/internal/schema"
	"onepg/internal/strictjson"
)

// EventLimits bound the events of one request.
type EventLimits struct {
	PayloadBytes int // of one event's payload, and of its metadata
	Events       int // in one array
	Depth        int // of arrays and objects in the whole body
}

// intake reads the events of one domain from a request body. Everything a
// client can get wrong is found here, and all of it at once.
type intake struct {
	domain string
	limits EventLimits
	types  []eventsourcing.EventType // that clients may post, as defined
	rules  map[string]*schema.Schema // by name
	server map[string]bool           // events of the domain that only the server records
}

// newIntake compiles the events' rules. It fails on a payload struct whose tags
// cannot be honoured.
func newIntake(domain string, limits EventLimits, types []eventsourcing.EventType) (*intake, error) {
	in := &intake{domain: domain, limits: limits, rules: make(map[string]*schema.Schema), server: make(map[string]bool)}
	for _, t := range types {
		if t.ServerOnly {
			in.server[t.Name] = true
			continue
		}
		s, err := schema.Compile(t.Payload, schema.Named(t.Name), schema.MinProperties(t.MinFields))
		if err != nil {
			return nil, fmt.Errorf("rules of event %s: %w", t.Name, err)
		}
		in.types = append(in.types, t)
		in.rules[t.Name] = s
	}
	return in, nil
}

// EventReader gives a function that reads one event, or an array of them, from
// JSON text, under exactly the rules of the append routes but for all domains at
// once: it is for events that come another way than over HTTP. The function's
// error is a fault of kind Malformed, TooLarge or Invalid with every mistake.
func EventReader(limits EventLimits, types []eventsourcing.EventType) (func(body []byte) ([]eventsourcing.Event, error), error) {
	in, err := newIntake("this program", limits, types)
	if err != nil {
		return nil, err
	}
	return func(body []byte) ([]eventsourcing.Event, error) {
		events, _, err := in.read(body)
		return events, err
	}, nil
}

// read gives the events of the body in their order, and whether the body was an
// array. Its error is Malformed, TooLarge or Invalid with every mistake.
func (in *intake) read(body []byte) (events []eventsourcing.Event, array bool, err error) {
	var report strictjson.Report
	root, err := strictjson.Parse(body, strictjson.Limits{MaxDepth: in.limits.Depth}, &report)
	if err != nil {
		return nil, false, err
	}
	switch root.Kind() { //nolint:exhaustive // the rest is the same mistake
	case strictjson.Object:
		events = make([]eventsourcing.Event, 1)
		if err := in.event(root, &events[0], &report); err != nil {
			return nil, false, err
		}
	case strictjson.Array:
		array = true
		if events, err = in.array(root, &report); err != nil {
			return nil, true, err
		}
	default:
		report.Add(root, "must be an event or an array of events")
	}
	return events, array, report.Err()
}

func (in *intake) array(root strictjson.Value, report *strictjson.Report) ([]eventsourcing.Event, error) {
	n := root.Len()
	if n == 0 {
		report.Add(root, "must hold at least one event")
	}
	if n > in.limits.Events {
		return nil, sizeFault(fmt.Sprintf("The array holds %d events; at most %d are taken in one request.", n, in.limits.Events))
	}
	events := make([]eventsourcing.Event, n)
	seen := make(map[uuid.UUID]int, n)
	i := 0
	for v := range root.Elements() {
		if err := in.event(v, &events[i], report); err != nil {
			return nil, err
		}
		if first, twice := seen[events[i].ID]; twice && events[i].ID != uuid.Nil {
			report.AddMember(v, "id", fmt.Sprintf("is the id of the event at index %d too", first))
		}
		seen[events[i].ID] = i
		i++
	}
	return events, nil
}

// event reads one event. Its error is about size only; every mistake goes on
// the report.
func (in *intake) event(v strictjson.Value, e *eventsourcing.Event, report *strictjson.Report) error {
	if v.Kind() != strictjson.Object {
		report.Add(v, "must be an event, a JSON object")
		return nil
	}
	var payload strictjson.Value
	var has struct{ id, aggregateID, name, payload bool }
	for field, value := range v.Members() {
		switch field {
		case "id":
			has.id = true
			e.ID = readID(value, report)
		case "aggregate_id":
			has.aggregateID = true
			e.AggregateID = readID(value, report)
		case "name":
			has.name = true
			e.Name = in.readName(value, report)
		case "payload":
			has.payload = true
			payload = value
		case "expected_version":
			e.ExpectedVersion = readVersion(value, report)
		case "metadata":
			if size := writtenOut(value); size > in.limits.PayloadBytes {
				return sizeFault(fmt.Sprintf("The metadata at %s is %d bytes long with its numbers written out; at most %d are taken.", value.Pointer(), size, in.limits.PayloadBytes))
			}
			e.Metadata = readMetadata(value, report)
		case "position", "version", "recorded_at", "actor", "aggregate", "schema_version":
			report.Add(value, "is set by the server and cannot be sent")
		default:
			report.Add(value, "is not a field of an event")
		}
	}
	for _, f := range [...]struct {
		name string
		has  bool
	}{{"id", has.id}, {"aggregate_id", has.aggregateID}, {"name", has.name}, {"payload", has.payload}} {
		if !f.has {
			report.AddMember(v, f.name, "is required")
		}
	}
	if !has.payload {
		return nil
	}
	return in.readPayload(payload, e, report)
}

func (in *intake) readPayload(v strictjson.Value, e *eventsourcing.Event, report *strictjson.Report) error {
	if len(v.Raw()) > in.limits.PayloadBytes {
		return sizeFault(fmt.Sprintf("The payload at %s is %d bytes long; at most %d are taken.", v.Pointer(), len(v.Raw()), in.limits.PayloadBytes))
	}
	e.Payload = readObject(v, report)
	if rules := in.rules[e.Name]; rules != nil && e.Payload != nil {
		rules.Validate(v, report)
	}
	return nil
}

// readName also refuses names of other domains: a route's scope covers its own.
func (in *intake) readName(v strictjson.Value, report *strictjson.Report) string {
	name := v.Text()
	switch {
	case v.Kind() != strictjson.String:
		report.Add(v, "must be a string")
	case in.server[name]:
		report.Add(v, "is an event that only the server records")
	case in.rules[name] == nil:
		report.Add(v, "is not an event of "+in.domain)
	}
	return name
}

func readID(v strictjson.Value, report *strictjson.Report) uuid.UUID {
	id, ok := schema.ParseUUID(v.Text())
	if !ok {
		report.Add(v, "must be a UUID in the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, not nil or max")
	}
	return id
}

func readVersion(v strictjson.Value, report *strictjson.Report) *int {
	n, ok := v.Int()
	if !ok || n < 0 || n > math.MaxInt32 {
		report.Add(v, "must be an integer from 0 to 2147483647")
		return nil
	}
	version := int(n)
	return &version
}

func readObject(v strictjson.Value, report *strictjson.Report) json.RawMessage {
	if v.Kind() != strictjson.Object {
		report.Add(v, "must be a JSON object")
		return nil
	}
	return json.RawMessage(v.Raw())
}

// longestCorrelation is how many characters an id may have that ties events
// together. Why a limit: the log has an index of them.
const longestCorrelation = 200

func readMetadata(v strictjson.Value, report *strictjson.Report) json.RawMessage {
	for field, value := range v.Members() {
		if field != "correlation_id" && field != "causation_id" {
			continue
		}
		if length := utf8.RuneCountInString(value.Text()); value.Kind() != strictjson.String || length < 1 || length > longestCorrelation {
			report.Add(value, fmt.Sprintf("must be a string of 1 to %d characters", longestCorrelation))
		}
	}
	return readObject(v, report)
}

// writtenOut is about how long a value is as jsonb gives it back, which writes
// 1e308 out in 309 digits. Why counted: else a body of the largest size would
// come back fifty times as large.
func writtenOut(v strictjson.Value) int {
	raw := v.Raw()
	size := len(raw)
	if at := strings.IndexAny(raw, "eE"); at >= 0 && v.Kind() == strictjson.Number {
		exponent, _ := strconv.Atoi(raw[at+1:])
		const largest = 308 // what is larger was noted as a mistake
		size += min(max(exponent, -exponent), largest)
	}
	for element := range v.Elements() {
		size += writtenOut(element) - len(element.Raw())
	}
	for _, member := range v.Members() {
		size += writtenOut(member) - len(member.Raw())
	}
	return size
}

func sizeFault(message string) error {
	return fault.New(fault.TooLarge, codeTooLarge, message)
}
