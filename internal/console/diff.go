package console

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// change is a field of a state, with what it was before.
type change struct {
	Path string
	// Kind is added, removed, changed, or same.
	Kind string
	// Before and After are JSON as it is written.
	Before, After string
}

// changes compares two states field by field, in the order in which the newer
// one has them; nil is no state.
func changes(before, after json.RawMessage) []change {
	was, is := leaves(before), leaves(after)
	values := map[string]string{}
	for _, l := range was {
		values[l.path] = l.value
	}
	var list []change
	for _, l := range is {
		old, had := values[l.path]
		delete(values, l.path)
		ch := change{Path: l.path, Kind: "same", Before: old, After: l.value}
		switch {
		case !had:
			ch.Kind = "added"
		case old != l.value:
			ch.Kind = "changed"
		}
		list = append(list, ch)
	}
	for _, l := range was {
		if _, gone := values[l.path]; gone {
			list = append(list, change{Path: l.path, Kind: "removed", Before: l.value})
		}
	}
	return list
}

// leaf is a value that has no parts, and where it is.
type leaf struct{ path, value string }

// leaves takes a document apart, in its own order and with numbers as they are
// written. Empty objects and lists are leaves.
func leaves(document json.RawMessage) []leaf {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var list []leaf
	walk(d, "", &list)
	return list
}

// walk reads one value.
func walk(d *json.Decoder, path string, list *[]leaf) {
	token, err := d.Token()
	if err != nil {
		return
	}
	delim, nested := token.(json.Delim)
	if !nested {
		*list = append(*list, leaf{path, written(token)})
		return
	}
	empty := true
	for i := 0; d.More(); i++ {
		empty = false
		name := strconv.Itoa(i)
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return
			}
			name, _ = key.(string)
		}
		if path != "" {
			name = path + "." + name
		}
		walk(d, name, list)
	}
	_, _ = d.Token() // the closing one
	if empty {
		*list = append(*list, leaf{path, map[json.Delim]string{'{': "{}", '[': "[]"}[delim]})
	}
}

// written is a value without parts as JSON, "<" and all.
func written(value any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b.Bytes()))
}
