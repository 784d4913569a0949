package eventsourcing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
)

// stateSchema stands for everything that a stored state depends on: the shape
// of the Go type, the events it is folded from, and the revision of the fold.
// Taking it from the types means that nobody can forget to change it when they
// add a field.
func stateSchema(state reflect.Type, types []EventType, revision int) string {
	sum := sha256.New()
	describeType(sum, state, nil)
	for _, t := range types {
		fmt.Fprintf(sum, "\n%s %d ", t.Name, t.SchemaVersion())
		describeType(sum, t.Payload, nil)
	}
	const enough = 8 // bytes; it only has to differ from its predecessors
	return fmt.Sprintf("%d-%s", revision, hex.EncodeToString(sum.Sum(nil)[:enough]))
}

// describeType writes what decides over a type's JSON. A type with a JSON form
// of its own counts by its name.
func describeType(w io.Writer, t reflect.Type, path []reflect.Type) {
	fmt.Fprintf(w, "%s ", t)
	for _, above := range path {
		if above == t {
			return
		}
	}
	path = append(path, t)
	switch t.Kind() { //nolint:exhaustive // the other kinds are their name
	case reflect.Pointer, reflect.Slice, reflect.Array:
		describeType(w, t.Elem(), path)
	case reflect.Map:
		describeType(w, t.Key(), path)
		describeType(w, t.Elem(), path)
	case reflect.Struct:
		if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
			return
		}
		for i := range t.NumField() {
			f := t.Field(i)
			fmt.Fprintf(w, "%s %q ", f.Name, f.Tag.Get("json"))
			describeType(w, f.Type, path)
		}
	}
}
