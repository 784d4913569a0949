package schema_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"onepg/internal/schema"
	"onepg/internal/strictjson"
)

type recursive struct {
	Children []*recursive `json:"children"`
}

type provider struct{}

func (provider) Schema(huma.Registry) *huma.Schema { return nil }

func TestWhatCannotBeHonouredIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	type embedded struct{ created }
	for want, v := range map[string]any{
		"only a struct": 1,
		"field Children: schema_test.recursive contains itself": recursive{},
		"field created: embedded types":                         embedded{},
		`field A: the json tag must give a name`:                struct{ A string }{},
		`json tag must give a name`:                             structOf(`json:",omitempty"`),
		`json option "string" is not supported`: struct {
			A int `json:"a,string"`
		}{},
		`tag "maxlength" is not supported`: struct {
			A string `json:"a" maxlength:"1"`
		}{},
		`tag "validate" is not supported`: struct {
			A string `validate:"x\"y" json:"a"`
		}{},
		`tag "minLength=1" is not supported`: structOf(`json:"a" minLength=1`),
		`tag "minLength" is empty`: struct {
			A string `json:"a" minLength:""`
		}{},
		`tags on a field that is not exported`: struct {
			_ struct{} `additionalProperties:"true"`
		}{},
		`two fields are named "a"`: structOf(`json:"a"`, `json:"a"`),
		`invalid int tag 'minLength'`: struct {
			A string `json:"a" minLength:"one"`
		}{},
		"missing closing ]": struct {
			A string `json:"a" pattern:"["`
		}{},
		`tag "minLength" has no meaning for int`: struct {
			A int `json:"a" minLength:"1"`
		}{},
		`tag "minimum" has no meaning for string`: struct {
			A []string `json:"a" minimum:"1"`
		}{},
		`tag "maximum" has no meaning for float64`: struct {
			A float64 `json:"a" maximum:"1"`
		}{},
		`tag "minItems" has no meaning for string`: struct {
			A string `json:"a" minItems:"1"`
		}{},
		`tag "minProperties" has no meaning for bool`: struct {
			A bool `json:"a" minProperties:"1"`
		}{},
		`tag "enum" has no meaning for int`: struct {
			A int `json:"a" enum:"1,2"`
		}{},
		`tag "maxLength" has no meaning for json.RawMessage`: struct {
			A json.RawMessage `json:"a" maxLength:"1"`
		}{},
		`tag "patternDescription" has no meaning`: struct {
			A string `json:"a" patternDescription:"a word"`
		}{},
		`null is not one of the enum`: struct {
			A *string `json:"a" enum:"x,y" nullable:"true"`
		}{},
		`any JSON includes null`: struct {
			A json.RawMessage `json:"a" nullable:"true"`
		}{},
		`format "uri" cannot be checked for string`: struct {
			A string `json:"a" format:"uri"`
		}{},
		`format "date" cannot be checked for time.Time`: struct {
			A time.Time `json:"a" format:"date"`
		}{},
		`format "email" cannot be checked for uuid.UUID`: struct {
			A uuid.UUID `json:"a" format:"email"`
		}{},
		`format "int64" cannot be checked for int32`: struct {
			A int32 `json:"a" format:"int64"`
		}{},
		`minimum 1.5 is not an integer`: struct {
			A int `json:"a" minimum:"1.5"`
		}{},
		`maximum 9.007199254740992e+15 is not an integer of less than 2^53`: struct {
			A int `json:"a" maximum:"9007199254740993"`
		}{},
		`maximum 2147483648 is out of range for int32`: struct {
			A int32 `json:"a" maximum:"2147483648"`
		}{},
		`at least 2 and at most 1 characters cannot be`: struct {
			A string `json:"a" minLength:"2" maxLength:"1"`
		}{},
		`at least -1 and`: struct {
			A []int `json:"a" minItems:"-1"`
		}{},
		`at least 2 and at most 1 cannot be`: struct {
			A int `json:"a" minimum:"2" maximum:"1"`
		}{},
		`minProperties 2 of 1 fields`: struct {
			A updatedOne `json:"a" minProperties:"2"`
		}{},
		`field B: the example must have at most 2 characters`: struct {
			B string `json:"b" example:"abc" maxLength:"2"`
		}{},
		"type map[string]string is not supported": struct {
			A map[string]string `json:"a"`
		}{},
		"type interface {} is not supported": struct {
			A any `json:"a"`
		}{},
		"type []uint8 is not supported": struct {
			A []byte `json:"a"`
		}{},
		"type float32 is not supported": struct {
			A float32 `json:"a"`
		}{},
		"type uint8 is not supported": struct {
			A uint8 `json:"a"`
		}{},
		"netip.Addr has a JSON form of its own": struct {
			A netip.Addr `json:"a"`
		}{},
		"provider has a JSON form of its own": struct {
			A provider `json:"a"`
		}{},
	} {
		_, err := schema.Compile(reflect.TypeOf(v))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Compile(%T) = %v, want it to say %q", v, err, want)
		}
	}
	if _, err := schema.Compile(nil); err == nil {
		t.Error("Compile(nil) succeeds")
	}
}

type updatedOne struct {
	A string `json:"a"`
}

// structOf makes a struct of string fields whose tags go vet would not let pass.
func structOf(tags ...reflect.StructTag) any {
	var fields []reflect.StructField
	for i, tag := range tags {
		fields = append(fields, reflect.StructField{Name: string(rune('A' + i)), Type: reflect.TypeFor[string](), Tag: tag})
	}
	return reflect.Zero(reflect.StructOf(fields)).Interface()
}

func TestMoreThan64FieldsAreRefused(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{64: true, 65: false} {
		fields := make([]reflect.StructField, n)
		for i := range fields {
			name := strings.Repeat("F", i+1)
			fields[i] = reflect.StructField{Name: name, Type: reflect.TypeFor[bool](), Tag: reflect.StructTag(`json:"` + name + `"`)}
		}
		s, err := schema.Compile(reflect.StructOf(fields))
		if (err == nil) != want {
			t.Errorf("%d fields: %v", n, err)
		}
		if want && len(validate(t, s, "{}")) != n {
			t.Errorf("not all %d fields are missed", n)
		}
	}
}

// What the document says has to be what is checked, so it is compared whole.
func TestTheDocumentSaysWhatIsChecked(t *testing.T) {
	t.Parallel()
	type example struct {
		Name  *string         `json:"name" minLength:"1" doc:"A name." example:"Ada"`
		ID    string          `json:"id" format:"uuid" nullable:"true"`
		Lines []*line         `json:"lines" maxItems:"2" deprecated:"true"`
		Tags  []string        `json:"tags,omitempty" enum:"a,b"`
		To    *to             `json:"to,omitempty" doc:"Where to."`
		Any   json.RawMessage `json:"any,omitempty"`
	}
	const line = `{"type":"object","additionalProperties":false,"properties":{"text":{"type":"string"},
		"to":{"type":"object","additionalProperties":false,"properties":{"street":{"type":"string"}},"required":["street"]}}}`
	want := `{"type":"object","additionalProperties":false,"minProperties":1,"required":["id","lines"],"properties":{
		"name":{"type":"string","minLength":1,"description":"A name.","examples":["Ada"]},
		"id":{"type":["string","null"],"format":"uuid"},
		"lines":{"type":"array","maxItems":2,"deprecated":true,"items":` + line + `},
		"tags":{"type":"array","items":{"type":"string","enum":["a","b"]}},
		"to":{"type":"object","description":"Where to.","additionalProperties":false,"properties":{"street":{"type":"string"}},"required":["street"]},
		"any":{}}}`
	got, err := json.Marshal(compile[example](t, schema.MinProperties(1)).JSONSchema())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decode(t, []byte(want)), decode(t, got)); diff != "" {
		t.Error(diff)
	}
}

func decode(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func BenchmarkValidateCreated(b *testing.B) {
	s := compile[created](b)
	var report strictjson.Report
	v, err := strictjson.Parse([]byte(`{"name":"Ada","email":"ada@example.com"}`), strictjson.Limits{MaxDepth: 32}, &report)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Validate(v, &report)
	}
	if !report.Empty() {
		b.Fatal(report.Err())
	}
}
