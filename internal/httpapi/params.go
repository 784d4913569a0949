package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"onepg/internal/fault"
)

// BadParameter is the refusal of one parameter in a path, a query or a header.
func BadParameter(name, detail string) *fault.Error {
	return fault.New(fault.Malformed, codeBadParameter, name+": "+detail)
}

// params are the parameters an operation declares. The zero value checks
// nothing.
type params struct {
	checked bool
	query   map[string]queryParam
	headers []string // canonical names of headers with a single value
}

type queryParam struct {
	repeatable bool
	text       bool // any text will do, and none is no condition
}

func paramsOf(op *huma.Operation) params {
	p := params{checked: true, query: map[string]queryParam{}}
	for _, param := range op.Parameters {
		switch param.In {
		case "query":
			s := param.Schema
			p.query[param.Name] = queryParam{
				repeatable: param.Explode != nil && *param.Explode,
				text:       s != nil && s.Type == huma.TypeString && s.Format == "" && len(s.Enum) == 0,
			}
		case "header":
			if name := http.CanonicalHeaderKey(param.Name); !isList(name) {
				p.headers = append(p.headers, name)
			}
		}
	}
	return p
}

// isList tells the headers whose lines add up to one list, so that repeating
// them is legal.
func isList(header string) bool {
	return header == "Prefer" || header == "If-Match" || header == "If-None-Match"
}

// check refuses what the types cannot see: unknown and repeated parameters, and
// text PostgreSQL would not take.
func (p params) check(r *http.Request) error {
	if !p.checked {
		return nil
	}
	if !isText(r.URL.Path) {
		return BadParameter("path", "holds bytes that are not UTF-8 text")
	}
	for _, name := range p.headers {
		values := r.Header[name]
		if len(values) > 1 {
			return BadParameter(name, "is given more than once")
		}
		if len(values) == 1 && !isText(values[0]) {
			return BadParameter(name, "holds bytes that are not UTF-8 text")
		}
	}
	if r.URL.RawQuery == "" {
		return nil
	}
	return p.checkQuery(r.URL.RawQuery)
}

func (p params) checkQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return BadParameter("query", "cannot be read: check its % escapes and semicolons")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		param, known := p.query[name]
		switch {
		case !known:
			return BadParameter(name, "is unknown here; "+p.known())
		case len(query[name]) > 1 && !param.repeatable:
			return BadParameter(name, "is given more than once")
		case !param.text && slices.Contains(query[name], ""):
			return BadParameter(name, "is empty; give it a value or leave it out")
		case !isText(strings.Join(query[name], "")):
			return BadParameter(name, "holds bytes that are not UTF-8 text")
		}
	}
	return nil
}

func (p params) known() string {
	if len(p.query) == 0 {
		return "this path takes no parameters"
	}
	return "known are " + strings.Join(slices.Sorted(maps.Keys(p.query)), ", ")
}

// isText tells what a text column can hold.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
