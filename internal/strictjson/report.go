package strictjson

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"onepg/internal/fault"
)

const (
	// maxMistakes is how many mistakes a report lists. Who has more of them
	// has the same one many times over.
	maxMistakes = 100
	// maxPointer is the length, in bytes, up to which a pointer is spelt out.
	// Names come from the client: without it a body with one long name and a
	// hundred mistakes below it would be answered with a hundred times its size.
	maxPointer = 512
)

// Report collects the mistakes of one body, from [Parse] and from whoever
// validates after it, so that a client sees all of them at once. The answer is
// bounded whatever the body is: at most 100 mistakes and one line saying that
// there are more. The zero Report is ready for use.
type Report struct {
	mistakes []mistake
	more     bool
}

type mistake struct {
	doc    *document
	at     uint32
	member string // a missing member of the object at; "" for at itself
	detail string
}

// Add records that v is wrong. The detail completes a sentence about the value
// ("must be an integer") and quotes nothing of it, for bodies hold personal data.
func (r *Report) Add(v Value, detail string) { r.add(v.doc, v.at, detail) }

// AddMember records a mistake about a member that the object v does not have.
func (r *Report) AddMember(v Value, name, detail string) {
	r.append(mistake{doc: v.doc, at: v.at, member: name, detail: detail})
}

// Empty reports that there is nothing to complain about.
func (r *Report) Empty() bool { return len(r.mistakes) == 0 }

// Err is the validation fault with all mistakes in the order of the body (what
// is missing stands where its object begins), or nil if there are none.
func (r *Report) Err() error {
	if r.Empty() {
		return nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b mistake) int { return cmp.Compare(a.at, b.at) })
	fields := make([]fault.Field, 0, len(r.mistakes)+1)
	for _, m := range r.mistakes {
		fields = append(fields, m.field())
	}
	if r.more {
		fields = append(fields, fault.Field{Detail: fmt.Sprintf("has more mistakes than the %d listed", maxMistakes)})
	}
	return fault.Validation(fields)
}

func (r *Report) add(doc *document, at uint32, detail string) {
	r.append(mistake{doc: doc, at: at, detail: detail})
}

func (r *Report) append(m mistake) {
	if len(r.mistakes) == maxMistakes {
		r.more = true
		return
	}
	r.mistakes = append(r.mistakes, m)
}

func (m mistake) field() fault.Field {
	pointer, complete := m.doc.pointer(m.at, maxPointer)
	if !complete {
		return fault.Field{Pointer: pointer, Detail: m.detail + " (inside, under a name too long to show)"}
	}
	if m.member != "" {
		pointer += "/" + escapeToken(m.member)
	}
	return fault.Field{Pointer: pointer, Detail: m.detail}
}

// pointer builds the RFC 6901 pointer to a node; for the node of a member's
// name it is that of the member. Where it would be longer than limit it stops
// at the last ancestor that fits and reports false.
func (d *document) pointer(target uint32, limit int) (pointer string, complete bool) {
	var path strings.Builder
	for at := uint32(0); at != target; {
		var token string
		if d.nodes[at].kind == Array {
			var index int
			at, index = d.elementHolding(at, target)
			token = strconv.Itoa(index)
		} else {
			name := d.nameHolding(at, target)
			// Compared before it is decoded: decoding a long name for each of
			// many mistakes is what the limit is there to prevent.
			if n := d.nodes[name]; path.Len()+int(n.end-n.start) > limit {
				return path.String(), false
			}
			token = escapeToken(d.decoded(name))
			at = name + 1
			if name == target {
				target = at
			}
		}
		path.WriteString("/" + token)
	}
	return path.String(), true
}

// elementHolding finds the element of an array that is or contains target.
func (d *document) elementHolding(array, target uint32) (element uint32, index int) {
	for element = array + 1; d.nodes[element].next <= target; index++ {
		element = d.nodes[element].next
	}
	return element, index
}

// nameHolding finds the name of the member of an object that is or contains target.
func (d *document) nameHolding(object, target uint32) uint32 {
	name := object + 1
	for d.nodes[name+1].next <= target {
		name = d.nodes[name+1].next
	}
	return name
}

func escapeToken(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
