package strictjson

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"onepg/internal/fault"
)

// smallObject is the most members an object may have for its names to be
// compared pair by pair, which needs no memory. Above it a table is cheaper.
const smallObject = 16

// parser is a recursive descent over the text, one method per rule of the
// grammar in RFC 8259. Each method is called at the first character of what it
// reads and leaves pos behind the last.
type parser struct {
	*document
	pos       int
	depthLeft int
	report    *Report
}

func (p *parser) parse() error {
	if err := p.encoding(); err != nil {
		return err
	}
	// A typical event has a node for every 12 bytes. A wrong guess costs a copy
	// or a few unused bytes, so it is capped.
	p.nodes = make([]node, 0, min(8+len(p.text)/12, 1024))
	p.space()
	if p.pos == len(p.text) {
		return p.fail(p.pos, "the body is empty")
	}
	if err := p.value(); err != nil {
		return err
	}
	p.space()
	if p.pos < len(p.text) {
		return p.fail(p.pos, "only one value is allowed, and it has ended before this")
	}
	return nil
}

// encoding makes sure that the text is UTF-8, so that nothing else has to.
func (p *parser) encoding() error {
	switch {
	case strings.HasPrefix(p.text, "\xef\xbb\xbf"):
		return p.fail(0, "a byte order mark is not allowed")
	case len(p.text) > 1 && (p.text[0] == 0 || p.text[1] == 0 || p.text[:2] == "\xff\xfe" || p.text[:2] == "\xfe\xff"):
		return p.fail(0, "this looks like UTF-16 or UTF-32; only UTF-8 is allowed")
	case utf8.ValidString(p.text):
		return nil
	}
	valid := 0
	for valid < len(p.text) {
		char, size := utf8.DecodeRuneInString(p.text[valid:])
		if char == utf8.RuneError && size == 1 {
			break
		}
		valid += size
	}
	return p.fail(valid, "this is not valid UTF-8")
}

func (p *parser) value() error {
	switch c := p.peek(); c {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		return p.string()
	case 't':
		return p.literal("true", Bool)
	case 'f':
		return p.literal("false", Bool)
	case 'n':
		return p.literal("null", Null)
	default:
		if c == '-' || isDigit(c) {
			return p.number()
		}
		return p.unexpected("a value was expected here")
	}
}

func (p *parser) object() error {
	self, err := p.open(Object)
	if err != nil {
		return err
	}
	members, escaped := 0, false
	for !p.accept('}') {
		if members > 0 && !p.next() {
			return p.unexpected("a comma or } was expected here")
		}
		name := len(p.nodes)
		if err := p.member(); err != nil {
			return err
		}
		escaped = escaped || p.nodes[name].escaped
		members++
	}
	p.close(self)
	if members > smallObject || escaped {
		return p.distinctByTable(self, members)
	}
	return p.distinctByPairs(self)
}

// member reads a name, its value and the space after it.
func (p *parser) member() error {
	if p.peek() != '"' {
		return p.unexpected("a name in double quotes was expected here")
	}
	if err := p.string(); err != nil {
		return err
	}
	p.space()
	if !p.accept(':') {
		return p.unexpected("a colon was expected here")
	}
	p.space()
	if err := p.value(); err != nil {
		return err
	}
	p.space()
	return nil
}

func (p *parser) array() error {
	self, err := p.open(Array)
	if err != nil {
		return err
	}
	for elements := 0; !p.accept(']'); elements++ {
		if elements > 0 && !p.next() {
			return p.unexpected("a comma or ] was expected here")
		}
		if err := p.value(); err != nil {
			return err
		}
		p.space()
	}
	p.close(self)
	return nil
}

// open starts an array or object at its bracket and gives its node, which is
// completed by close.
func (p *parser) open(kind Kind) (int, error) {
	if p.depthLeft <= 0 {
		return 0, p.fail(p.pos, "arrays and objects are nested too deep here")
	}
	p.depthLeft--
	self := p.add(kind, p.pos, p.pos+1)
	p.pos++
	p.space()
	return self, nil
}

func (p *parser) close(self int) {
	p.depthLeft++
	p.nodes[self].end = offset(p.pos)
	p.nodes[self].next = offset(len(p.nodes))
}

// next reads the comma between two elements and the space after it.
func (p *parser) next() bool {
	if !p.accept(',') {
		return false
	}
	p.space()
	return true
}

func (p *parser) string() error {
	start, escaped, nul := p.pos, false, false
	for i := start + 1; i < len(p.text); {
		switch c := p.text[i]; {
		case c == '"':
			p.pos = i + 1
			self := p.add(String, start, p.pos)
			p.nodes[self].escaped = escaped
			if nul {
				p.report.add(p.document, offset(self), "must not contain the character \\u0000")
			}
			return nil
		case c == '\\':
			char, size, mistake := readEscape(p.text[i:])
			if mistake != "" {
				return p.fail(i, mistake)
			}
			escaped, nul = true, nul || char == 0
			i += size
		case c < ' ':
			return p.fail(i, "a control character has to be escaped in a string")
		default:
			i++
		}
	}
	return p.fail(len(p.text), "the body ends in the middle of a string")
}

func (p *parser) literal(word string, kind Kind) error {
	if !strings.HasPrefix(p.text[p.pos:], word) {
		return p.unexpected("a value was expected here")
	}
	p.add(kind, p.pos, p.pos+len(word))
	p.pos += len(word)
	return nil
}

// distinctByPairs finds a name that occurs twice among names without escapes.
func (p *parser) distinctByPairs(object int) error {
	end := p.nodes[object].next
	for name := offset(object) + 1; name < end; name = p.nodes[name+1].next {
		text := p.decoded(name)
		for earlier := offset(object) + 1; earlier < name; earlier = p.nodes[earlier+1].next {
			if p.decoded(earlier) == text {
				return p.repeated(name)
			}
		}
	}
	return nil
}

// distinctByTable is linear in the number of names and decodes each once.
func (p *parser) distinctByTable(object, members int) error {
	seen := make(map[string]struct{}, members)
	end := p.nodes[object].next
	for name := offset(object) + 1; name < end; name = p.nodes[name+1].next {
		text := p.decoded(name)
		if _, repeated := seen[text]; repeated {
			return p.repeated(name)
		}
		seen[text] = struct{}{}
	}
	return nil
}

func (p *parser) repeated(name uint32) error {
	return p.fail(int(p.nodes[name].start), "this name occurs twice in the same object")
}

func (p *parser) add(kind Kind, start, end int) int {
	self := len(p.nodes)
	p.nodes = append(p.nodes, node{start: offset(start), end: offset(end), next: offset(self + 1), kind: kind})
	return self
}

// peek is the next character, or 0, which no rule starts with, at the end.
func (p *parser) peek() byte {
	if p.pos == len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

func (p *parser) accept(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.pos++
	return true
}

func (p *parser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\n', '\r', '\t':
			p.pos++
		default:
			return
		}
	}
}

// unexpected fails at the present position, where the body may just be over.
func (p *parser) unexpected(expectation string) error {
	if p.pos == len(p.text) {
		return p.fail(p.pos, "the body ends too early: "+expectation)
	}
	return p.fail(p.pos, expectation)
}

// fail names the place as editors do: line and column from 1, the column in
// characters. It quotes nothing, because bodies hold personal data.
func (p *parser) fail(at int, mistake string) error {
	before := p.text[:at]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return fault.New(fault.Malformed, "malformed-body",
		fmt.Sprintf("The body is not acceptable JSON: line %d, column %d: %s.", line, column, mistake))
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// offset narrows a position in the text or in the nodes.
func offset(n int) uint32 {
	return uint32(n) //nolint:gosec // Parse refuses bodies of 4 GiB, and there are fewer nodes than bytes.
}
