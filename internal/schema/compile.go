package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"onepg/internal/fault"
	"onepg/internal/strictjson"
)

// maxFields is how many fields an object may have: one bit each in a uint64.
const maxFields = 64

// maxExact is the largest bound that a huma.Schema, which keeps bounds as
// float64, can be trusted with: above it neighbours become the same number.
const maxExact = 1<<53 - 1

// compiler turns a JSON Schema and the Go type it was made from into rules. The
// type adds what the schema has lost: the order of fields and the size of integers.
type compiler struct {
	unknown string // the message for a field that does not exist
}

func (c compiler) compile(t reflect.Type, s *huma.Schema) (rule, error) {
	t = pointee(t)
	if tag := misfit(s); tag != "" {
		return nil, fmt.Errorf("tag %q has no meaning for %s", tag, t)
	}
	if err := checkFormat(t, s); err != nil {
		return nil, err
	}
	compiled, err := c.compileType(t, s)
	if err != nil {
		return nil, err
	}
	if s.Nullable {
		if len(s.Enum) > 0 {
			return nil, errors.New("null is not one of the enum; remove the nullable tag")
		}
		compiled = nullable{compiled}
	}
	return compiled, checkExamples(s, compiled)
}

// checkExamples holds what the documentation shows to what it says.
func checkExamples(s *huma.Schema, r rule) error {
	for _, example := range s.Examples {
		body, err := json.Marshal(example)
		if err != nil {
			return fmt.Errorf("example: %w", err)
		}
		var report strictjson.Report
		v, err := strictjson.Parse(body, strictjson.Limits{MaxDepth: 32}, &report)
		if err != nil {
			return fmt.Errorf("example: %w", err)
		}
		r.check(v, &report)
		if f, broken := fault.Of(report.Err()); broken {
			return fmt.Errorf("the example %s", f.Fields[0].Detail)
		}
	}
	return nil
}

func (c compiler) compileType(t reflect.Type, s *huma.Schema) (rule, error) {
	switch s.Type {
	case huma.TypeObject:
		return c.object(t, s)
	case huma.TypeArray:
		return c.array(t, s)
	case huma.TypeString:
		return compileText(s)
	case huma.TypeInteger:
		return compileInteger(t, s)
	case huma.TypeNumber:
		return number{}, nil
	case huma.TypeBoolean:
		return boolean{}, nil
	}
	if s.Nullable {
		return nil, errors.New("any JSON includes null; remove the nullable tag")
	}
	return anything{}, nil
}

// misfit gives the first tag that is set on a type it says nothing about.
func misfit(s *huma.Schema) string {
	for _, tag := range []struct {
		name string
		set  bool
		fits string
	}{
		{"minLength", s.MinLength != nil, huma.TypeString},
		{"maxLength", s.MaxLength != nil, huma.TypeString},
		{"pattern", s.Pattern != "", huma.TypeString},
		{"patternDescription", s.PatternDescription != "" && s.Pattern == "", ""},
		{"enum", len(s.Enum) > 0, huma.TypeString},
		{"minimum", s.Minimum != nil, huma.TypeInteger},
		{"maximum", s.Maximum != nil, huma.TypeInteger},
		{"minItems", s.MinItems != nil, huma.TypeArray},
		{"maxItems", s.MaxItems != nil, huma.TypeArray},
		{"minProperties", s.MinProperties != nil, huma.TypeObject},
	} {
		if tag.set && (tag.fits != s.Type || tag.fits == "") {
			return tag.name
		}
	}
	return ""
}

// checkFormat refuses a format that is not checked, or that would let through
// what the Go type cannot be decoded from.
func checkFormat(t reflect.Type, s *huma.Schema) error {
	fits := []string{""}
	switch {
	case t == reflect.TypeFor[time.Time]():
		fits = []string{"date-time"}
	case t == reflect.TypeFor[uuid.UUID]():
		fits = []string{"uuid"}
	case s.Type == huma.TypeString:
		fits = []string{"", "email", "uuid", "date", "date-time"}
	case s.Type == huma.TypeNumber:
		fits = []string{"double"}
	case s.Type == huma.TypeInteger && t.Bits() == 32:
		fits = []string{"int32"}
	case s.Type == huma.TypeInteger:
		fits = []string{"int64"}
	}
	if !slices.Contains(fits, s.Format) {
		return fmt.Errorf("format %q cannot be checked for %s", s.Format, t)
	}
	return nil
}

func (c compiler) object(t reflect.Type, s *huma.Schema) (rule, error) {
	o := &object{unknown: c.unknown}
	var names []string
	for i := range t.NumField() {
		name := jsonName(t.Field(i))
		if name == "" {
			continue
		}
		if slices.Contains(names, name) {
			return nil, fmt.Errorf("two fields are named %q in JSON", name)
		}
		compiled, err := c.compile(t.Field(i).Type, s.Properties[name])
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", t.Field(i).Name, err)
		}
		if slices.Contains(s.Required, name) {
			o.required |= 1 << len(names)
		}
		names = append(names, name)
		o.fields = append(o.fields, field{name: name, rule: compiled})
	}
	if len(names) > maxFields {
		return nil, fmt.Errorf("%d fields are more than %d", len(names), maxFields)
	}
	if s.MinProperties == nil {
		return o, nil
	}
	return o, o.demand(*s.MinProperties, names)
}

// demand makes the object need at least n of its fields.
func (o *object) demand(n int, names []string) error {
	if n < 0 || n > len(names) {
		return fmt.Errorf("minProperties %d of %d fields", n, len(names))
	}
	quantity := "one"
	if n != 1 {
		quantity = strconv.Itoa(n)
	}
	o.minProperties, o.tooFew = n, "must have at least "+quantity+" of "+strings.Join(names, ", ")
	return nil
}

func (c compiler) array(t reflect.Type, s *huma.Schema) (rule, error) {
	items, err := c.compile(t.Elem(), s.Items)
	if err != nil {
		return nil, err
	}
	size, err := compileSize(s.MinItems, s.MaxItems, "item")
	if err != nil {
		return nil, err
	}
	return &array{size: size, items: items}, nil
}

func compileText(s *huma.Schema) (rule, error) {
	size, err := compileSize(s.MinLength, s.MaxLength, "character")
	if err != nil {
		return nil, err
	}
	r := &text{size: size, format: s.Format}
	if s.Pattern != "" {
		if r.pattern, err = regexp.Compile(s.Pattern); err != nil {
			return nil, fmt.Errorf("pattern: %w", err)
		}
		r.mismatch = "must match the pattern " + s.Pattern
		if s.PatternDescription != "" {
			r.mismatch = "must be " + s.PatternDescription
		}
	}
	for _, value := range s.Enum {
		r.enum = append(r.enum, fmt.Sprint(value))
	}
	r.noneOf = "must be one of " + strings.Join(r.enum, ", ")
	return r, nil
}

func compileInteger(t reflect.Type, s *huma.Schema) (rule, error) {
	least, most := int64(math.MinInt64), int64(math.MaxInt64)
	if t.Bits() == 32 {
		least, most = math.MinInt32, math.MaxInt32
	}
	for _, bound := range []struct {
		tag    string
		value  *float64
		target *int64
	}{{"minimum", s.Minimum, &least}, {"maximum", s.Maximum, &most}} {
		if bound.value == nil {
			continue
		}
		if *bound.value != math.Trunc(*bound.value) || math.Abs(*bound.value) > maxExact {
			return nil, fmt.Errorf("%s %v is not an integer of less than 2^53", bound.tag, *bound.value)
		}
		if t.Bits() == 32 && (*bound.value < math.MinInt32 || *bound.value > math.MaxInt32) {
			return nil, fmt.Errorf("%s %.0f is out of range for %s", bound.tag, *bound.value, t)
		}
		*bound.target = int64(*bound.value)
	}
	if least > most {
		return nil, fmt.Errorf("at least %d and at most %d cannot be", least, most)
	}
	return &integer{
		least: least, tooSmall: fmt.Sprintf("must be at least %d", least),
		most: most, tooLarge: fmt.Sprintf("must be at most %d", most),
	}, nil
}

func compileSize(least, most *int, unit string) (size, error) {
	s := size{most: math.MaxInt}
	if least != nil {
		s.least = *least
	}
	if most != nil {
		s.most = *most
	}
	if s.least < 0 || s.most < s.least {
		return size{}, fmt.Errorf("at least %d and at most %d %ss cannot be", s.least, s.most, unit)
	}
	s.tooSmall = "must have at least " + count(s.least, unit)
	s.tooLarge = "must have at most " + count(s.most, unit)
	return s, nil
}
