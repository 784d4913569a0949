package schema

import (
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"onepg/internal/strictjson"
)

// rule checks one value and reports every mistake in it. All messages are made
// when a rule is compiled, so that checking costs no memory.
type rule interface {
	check(v strictjson.Value, report *strictjson.Report)
}

// isKind reports a value of another kind than the one wanted.
func isKind(v strictjson.Value, kind strictjson.Kind, report *strictjson.Report, wanted string) bool {
	if v.Kind() == kind {
		return true
	}
	if v.Kind() == strictjson.Null {
		wanted = "must not be null"
	}
	report.Add(v, wanted)
	return false
}

type field struct {
	name string
	rule rule
}

type object struct {
	fields        []field
	required      uint64 // a bit for each of fields
	minProperties int
	unknown       string
	tooFew        string
}

func (o *object) check(v strictjson.Value, report *strictjson.Report) {
	if !isKind(v, strictjson.Object, report, "must be an object") {
		return
	}
	var present uint64
	for name, member := range v.Members() {
		i := slices.IndexFunc(o.fields, func(f field) bool { return f.name == name })
		if i < 0 {
			report.Add(member, o.unknown+o.meant(name))
			continue
		}
		present |= 1 << i
		o.fields[i].rule.check(member, report)
	}
	if missing := o.required &^ present; missing != 0 {
		for i, f := range o.fields {
			if missing&(1<<i) != 0 {
				report.AddMember(v, f.name, "is required")
			}
		}
	}
	if bits.OnesCount64(present) < o.minProperties {
		report.Add(v, o.tooFew)
	}
}

// meant adds the field that differs from name in case only.
func (o *object) meant(name string) string {
	for _, f := range o.fields {
		if strings.EqualFold(f.name, name) {
			return "; case matters: " + f.name
		}
	}
	return ""
}

// size bounds a number of characters or items.
type size struct {
	least, most        int
	tooSmall, tooLarge string
}

func (s *size) check(n int, v strictjson.Value, report *strictjson.Report) {
	if n < s.least {
		report.Add(v, s.tooSmall)
	}
	if n > s.most {
		report.Add(v, s.tooLarge)
	}
}

type array struct {
	size  size
	items rule
}

func (a *array) check(v strictjson.Value, report *strictjson.Report) {
	if !isKind(v, strictjson.Array, report, "must be an array") {
		return
	}
	a.size.check(v.Len(), v, report)
	for element := range v.Elements() {
		a.items.check(element, report)
	}
}

type text struct {
	size     size
	format   string
	pattern  *regexp.Regexp // nil for any
	mismatch string
	enum     []string // empty for any
	noneOf   string
}

func (r *text) check(v strictjson.Value, report *strictjson.Report) {
	if !isKind(v, strictjson.String, report, "must be a string") {
		return
	}
	s := v.Text()
	r.size.check(utf8.RuneCountInString(s), v, report)
	if mistake := checkText(r.format, s); mistake != "" {
		report.Add(v, mistake)
	}
	if r.pattern != nil && !r.pattern.MatchString(s) {
		report.Add(v, r.mismatch)
	}
	if len(r.enum) > 0 && !slices.Contains(r.enum, s) {
		report.Add(v, r.noneOf)
	}
}

type integer struct {
	least, most        int64
	tooSmall, tooLarge string
}

func (r *integer) check(v strictjson.Value, report *strictjson.Report) {
	const wanted = "must be an integer, written without fraction and exponent"
	if !isKind(v, strictjson.Number, report, wanted) {
		return
	}
	i, fits := v.Int()
	if !fits {
		// What is an integer but not in 64 bits is beyond every bound.
		switch raw := v.Raw(); {
		case strings.ContainsAny(raw, ".eE"):
			report.Add(v, wanted)
		case raw[0] == '-':
			report.Add(v, r.tooSmall)
		default:
			report.Add(v, r.tooLarge)
		}
		return
	}
	if i < r.least {
		report.Add(v, r.tooSmall)
	}
	if i > r.most {
		report.Add(v, r.tooLarge)
	}
}

type number struct{}

func (number) check(v strictjson.Value, report *strictjson.Report) {
	isKind(v, strictjson.Number, report, "must be a number")
}

type boolean struct{}

func (boolean) check(v strictjson.Value, report *strictjson.Report) {
	isKind(v, strictjson.Bool, report, "must be true or false")
}

type nullable struct{ rule rule }

func (n nullable) check(v strictjson.Value, report *strictjson.Report) {
	if v.Kind() != strictjson.Null {
		n.rule.check(v, report)
	}
}

type anything struct{}

func (anything) check(strictjson.Value, *strictjson.Report) {}

// count puts a number before its unit.
func count(n int, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}
