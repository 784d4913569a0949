package aggregatortest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"onepg/internal/eventsourcing"
)

// Histories makes up what may happen to the aggregates of some event types: each
// event follows from the lives before it, and its payload from its Go struct. The
// same seed makes the same events.
func Histories(types []eventsourcing.EventType, n int, seed uint64) ([]eventsourcing.Event, error) {
	g := generator{rand: rand.New(rand.NewPCG(seed, 1)), alive: map[uuid.UUID]bool{}} //nolint:gosec // it has to be repeatable
	var events []eventsourcing.Event
	for len(events) < n {
		t := types[g.rand.IntN(len(types))]
		id, ok := g.aggregate(t.Lifecycle)
		if !ok {
			continue
		}
		payload, err := json.Marshal(g.value(t.Payload, "").Interface())
		if err != nil {
			return nil, fmt.Errorf("make a payload of %s: %w", t.Name, err)
		}
		g.alive[id] = t.Lifecycle != eventsourcing.Ends
		events = append(events, eventsourcing.Event{
			ID: g.uuid(), AggregateID: id, Name: t.Name, Payload: payload,
			Metadata: json.RawMessage(`{ "trace_id":"t", "correlation_id":"c" }`), // not as jsonb writes it
		})
	}
	return events, nil
}

type generator struct {
	rand  *rand.Rand
	alive map[uuid.UUID]bool
	ids   []uuid.UUID
	// strict is set for a field whose text has to keep a format.
	strict bool
}

// Why so few: the longer an aggregate's history, the more there is to get wrong.
const maxAggregates = 7

// aggregate picks one to which an event of the lifecycle may happen.
func (g *generator) aggregate(l eventsourcing.Lifecycle) (uuid.UUID, bool) {
	switch {
	case l == eventsourcing.Creates && (len(g.ids) < maxAggregates || g.rand.IntN(20) == 0):
		id := g.uuid()
		g.ids = append(g.ids, id)
		return id, true
	case l == eventsourcing.Creates || len(g.ids) == 0:
		return uuid.Nil, false
	case l == eventsourcing.Ends && g.rand.IntN(10) > 0: // most of a life is changes
		return uuid.Nil, false
	}
	id := g.ids[g.rand.IntN(len(g.ids))]
	return id, l == eventsourcing.Restores || g.alive[id]
}

func (g *generator) uuid() uuid.UUID {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(g.rand.UintN(256)) //nolint:gosec // it fits
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// value makes a value of the type; example is what its tag says one looks like.
func (g *generator) value(t reflect.Type, example string) reflect.Value {
	v := reflect.New(t).Elem()
	if example != "" && g.rand.IntN(2) == 0 && json.Unmarshal([]byte(example), v.Addr().Interface()) == nil {
		return v
	}
	switch t {
	case reflect.TypeFor[time.Time](): // with a zone, and more digits than are kept
		zone := time.FixedZone("", 900*g.rand.IntN(50))
		v.Set(reflect.ValueOf(time.Unix(1_700_000_000+g.rand.Int64N(1e8), g.rand.Int64N(1e9)).In(zone)))
		return v
	case reflect.TypeFor[json.RawMessage](): // not as jsonb writes it
		v.SetBytes(fmt.Appendf(nil, `{"z": 1.0, "a": 1e2, "z%d": null}`, g.rand.IntN(10)))
		return v
	}
	switch t.Kind() { //nolint:exhaustive // the default is for the rest
	case reflect.Pointer:
		if g.rand.IntN(3) > 0 {
			v.Set(g.value(t.Elem(), example).Addr())
		}
	case reflect.Struct:
		g.fields(v)
	case reflect.Slice:
		for range g.rand.IntN(3) {
			v.Set(reflect.Append(v, g.value(t.Elem(), "")))
		}
	case reflect.String:
		v.SetString(g.text(example))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(g.rand.Int64N(1000))
	case reflect.Float64:
		v.SetFloat(float64(g.rand.IntN(1000)) / 4)
	case reflect.Bool:
		v.SetBool(g.rand.IntN(2) == 0)
	default: // its zero value
	}
	return v
}

func (g *generator) fields(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			values := strings.Split(enum, ",")
			v.Field(i).Set(reflect.ValueOf(values[g.rand.IntN(len(values))]).Convert(f.Type))
			continue
		}
		g.strict = f.Tag.Get("pattern") != "" || f.Tag.Get("format") != ""
		v.Field(i).Set(g.value(f.Type, f.Tag.Get("example")))
		g.strict = false
	}
}

// text is the example, sometimes with more behind it so that not all are alike.
// An example that is a number says that the text always is one.
func (g *generator) text(example string) string {
	if _, err := strconv.ParseFloat(example, 64); err == nil {
		return strconv.Itoa(g.rand.IntN(10_000)) + ".00" // a number in a string stays one
	}
	if example != "" && g.rand.IntN(3) == 0 {
		return example
	}
	return example + []string{"", "x", "'", `\`, "é", "\U0001F600", "{}", ","}[g.rand.IntN(8)]
}
