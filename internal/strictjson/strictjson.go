// Package strictjson reads a request body as JSON and accepts nothing doubtful.
//
// It is the first thing that looks at what a client sends, so it decides what
// the rest of the program and PostgreSQL may take for granted. [Parse] makes
// one pass over the body and yields a tree of [Value]s that keeps the text as
// it was sent: payloads are stored to the byte, and 2^53+1 stays exact because
// no number ever becomes a float64.
//
// Two kinds of refusal are told apart:
//
//   - A body that has no single meaning is an error of kind fault.Malformed:
//     not RFC 8259 JSON, not UTF-8, a byte order mark, a lone surrogate, bytes
//     after the value, a name twice in one object ("a" and "\u0061" are the
//     same name), or containers nested too deep.
//   - A body that is clear but holds what cannot be stored goes on a [Report],
//     next to the mistakes that a schema finds: \u0000, which PostgreSQL has no
//     text for, and numbers outside the range of a double.
//
// What is accepted, encoding/json accepts too and reads as the same value (a
// number outside the range of a double only as a json.Number).
// Time and memory grow linearly with the body: at worst there is a node of 16
// bytes for every two bytes sent. Recursion is bounded by [Limits]. A Value is read-only and
// safe for concurrent use; a Report is not.
package strictjson

import (
	"iter"
	"math"
	"strconv"
	"strings"

	"onepg/internal/fault"
)

// Limits bounds what [Parse] accepts. The size of the body is bounded where it
// is read, before it is here.
type Limits struct {
	// MaxDepth is how many arrays and objects may be open at once: with 32,
	// "[[…]]" of 32 brackets is accepted and of 33 is not. Zero allows no
	// array or object at all.
	MaxDepth int
}

// Kind is the JSON type of a [Value].
type Kind uint8

// The JSON types.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// document is a parsed body: its text and a flat list of nodes in the order of
// the text. An array's node is followed by its elements, an object's by name
// and value in turn; next skips over whatever a node holds.
type document struct {
	text  string
	nodes []node
}

// node is 16 bytes on purpose: a hostile body has a node for every two bytes.
type node struct {
	start, end uint32 // in the text; for a string with its quotes
	next       uint32 // the node after this one and everything inside it
	kind       Kind
	escaped    bool // a string that has to be decoded to be read
}

// Parse reads body, which the caller may reuse afterwards: the tree has its own
// copy. A body without a single clear meaning gives a fault.Error of kind
// Malformed that names the place. What is clear but cannot be stored is added
// to report, and the tree is returned nonetheless so that a schema can add all
// its mistakes to the same report.
func Parse(body []byte, limits Limits, report *Report) (Value, error) {
	if uint64(len(body)) > math.MaxUint32 {
		return Value{}, fault.New(fault.TooLarge, "too-large", "The body is larger than 4 GiB.")
	}
	doc := &document{text: string(body)}
	p := parser{document: doc, depthLeft: limits.MaxDepth, report: report}
	if err := p.parse(); err != nil {
		return Value{}, err
	}
	return Value{doc: doc}, nil
}

// Value is one value of a parsed body. It is small and passed by value. The
// zero Value belongs to no body and must not be used.
type Value struct {
	doc *document
	at  uint32
}

func (v Value) node() *node { return &v.doc.nodes[v.at] }

// Kind tells the JSON type.
func (v Value) Kind() Kind { return v.node().kind }

// Raw is the value exactly as it was sent, with all white space inside it and
// none around it. It shares memory with the whole body and keeps that alive.
func (v Value) Raw() string {
	n := v.node()
	return v.doc.text[n.start:n.end]
}

// Text is a string's content with its escapes resolved, and "" for any other
// kind. It allocates only where there are escapes.
func (v Value) Text() string {
	if v.Kind() != String {
		return ""
	}
	return v.doc.decoded(v.at)
}

// Int is a number that is written as an integer and fits 64 bits. It is never
// rounded: 1.0, 1e0 and 2^63 are not such numbers, and neither is any other
// kind of value.
func (v Value) Int() (int64, bool) {
	if v.Kind() != Number {
		return 0, false
	}
	i, err := strconv.ParseInt(v.Raw(), 10, 64)
	return i, err == nil
}

// Members yields an object's names, decoded, and values in the order sent.
// Any other kind has none.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		n := v.node()
		if n.kind != Object {
			return
		}
		for name := v.at + 1; name < n.next; name = v.doc.nodes[name+1].next {
			if !yield(v.doc.decoded(name), Value{v.doc, name + 1}) {
				return
			}
		}
	}
}

// Elements yields an array's elements in order. Any other kind has none.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		n := v.node()
		if n.kind != Array {
			return
		}
		for at := v.at + 1; at < n.next; at = v.doc.nodes[at].next {
			if !yield(Value{v.doc, at}) {
				return
			}
		}
	}
}

// Len counts the members of an object or the elements of an array, in time
// linear in their number. Any other kind has length 0.
func (v Value) Len() int {
	count := 0
	for range v.Elements() {
		count++
	}
	for range v.Members() {
		count++
	}
	return count
}

// Pointer is the RFC 6901 JSON pointer to the value from the root of the body,
// which is "". It is found by searching from the root, so it is for mistakes,
// not for every request.
func (v Value) Pointer() string {
	pointer, _ := v.doc.pointer(v.at, math.MaxInt)
	return pointer
}

// decoded is the content of a string's node.
func (d *document) decoded(at uint32) string {
	n := d.nodes[at]
	quoted := d.text[n.start+1 : n.end-1]
	if !n.escaped {
		return quoted
	}
	var text strings.Builder
	text.Grow(len(quoted))
	for rest := quoted; rest != ""; {
		if rest[0] != '\\' {
			plain, _, _ := strings.Cut(rest, `\`)
			text.WriteString(plain)
			rest = rest[len(plain):]
			continue
		}
		char, size, _ := readEscape(rest)
		text.WriteRune(char)
		rest = rest[size:]
	}
	return text.String()
}
