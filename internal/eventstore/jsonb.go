package eventstore

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// jsonbText gives an object as PostgreSQL writes it that has kept it as jsonb: shorter keys
// first, and spaces of its own. It reports false where a value is no string.
//
// Why not numbers and all else: metadata seldom has them, and PostgreSQL's way with them
// would have to be the same to the last digit.
func jsonbText(object json.RawMessage) (text json.RawMessage, ok bool) {
	var fields map[string]*string // a null is none
	switch string(object) {
	case "", "{}":
		return json.RawMessage("{}"), true
	}
	if json.Unmarshal(object, &fields) != nil {
		return nil, false
	}
	keys := slices.Collect(maps.Keys(fields))
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	b := new(bytes.Buffer)
	for i, key := range keys {
		if fields[key] == nil {
			return nil, false
		}
		b.WriteString([]string{"{", ", "}[min(i, 1)])
		writeText(b, key)
		b.WriteString(": ")
		writeText(b, *fields[key])
	}
	b.WriteString("}")
	return b.Bytes(), len(keys) > 0
}

// writeText writes a string as jsonb does.
func writeText(b *bytes.Buffer, s string) {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}
	b.WriteByte('"')
	for _, r := range s {
		switch escape, ok := short[r]; {
		case ok:
			b.WriteString(escape)
		case r < ' ':
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
