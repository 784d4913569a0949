package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"onepg/internal/fault"
)

// Spec is the OpenAPI 3.1 document of the routes registered so far; it is made
// once, so ask for it when all of them are.
func (a *API) Spec() ([]byte, error) { return a.spec() }

func (a *API) marshalSpec() ([]byte, error) {
	a.complete()
	doc, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	return doc, nil
}

// operation translates a declaration for huma. The limits huma has of its own
// are off, because the edge has read the body before huma sees it.
func (a *API) operation(rt *route, op Operation) *huma.Operation {
	spec := &huma.Operation{
		OperationID: op.ID, Method: rt.method, Path: rt.path,
		Summary: op.Summary, Description: op.Description, Tags: op.Tags,
		DefaultStatus: op.Status, Hidden: op.Hidden,
		MaxBodyBytes: -1, BodyReadTimeout: -1,
		Responses: map[string]*huma.Response{},
		Metadata:  map[string]any{routeMetadata: rt},
	}
	spec.Security = []map[string][]string{} // said, not left out
	if op.Scope != Public {
		spec.Security = []map[string][]string{{"bearer": {string(op.Scope)}}}
	}
	if len(spec.Tags) == 0 {
		spec.Tags = []string{strings.Split(strings.TrimPrefix(rt.path, "/v1/"), "/")[0]}
	}
	return spec
}

// document adds every problem the route can answer with, one response per
// status with the codes it stands for.
func (a *API) document(rt *route, op Operation, spec *huma.Operation) {
	codes := map[int][]string{}
	for _, r := range append(edgeRefusals(rt), op.Problems...) {
		codes[statusOf(r.Kind)] = append(codes[statusOf(r.Kind)], r.Code)
	}
	if rt.body {
		codes[http.StatusRequestTimeout] = []string{codeRequestTimeout}
	}
	codes[http.StatusRequestHeaderFieldsTooLarge] = []string{codeHeadersTooLarge}
	schema := a.Schemas().Schema(reflect.TypeFor[Problem](), true, "")
	for _, status := range slices.Sorted(maps.Keys(codes)) {
		slices.Sort(codes[status])
		spec.Responses[strconv.Itoa(status)] = problemResponse(status, slices.Compact(codes[status]), schema)
	}
	if rt.fresh {
		spec.Responses[strconv.Itoa(http.StatusNotModified)] = &huma.Response{
			Description: "The version named by If-None-Match is still the current one.",
			Headers:     map[string]*huma.Param{"ETag": headerRef("ETag")},
		}
	}
}

// problemResponse is a Problem whose code is one of those of the status, so
// that generated clients know what to branch on.
func problemResponse(status int, codes []string, problem *huma.Schema) *huma.Response {
	values := make([]any, len(codes))
	for i, code := range codes {
		values[i] = code
	}
	narrowed := &huma.Schema{AllOf: []*huma.Schema{problem, {
		Type: huma.TypeObject,
		Properties: map[string]*huma.Schema{
			"status": {Type: huma.TypeInteger, Enum: []any{status}},
			"code":   {Type: huma.TypeString, Enum: values},
		},
	}}}
	r := &huma.Response{
		Description: "`" + strings.Join(codes, "`, `") + "`",
		Content:     map[string]*huma.MediaType{problemType: {Schema: narrowed}},
		Headers:     map[string]*huma.Param{},
	}
	for name := range (&Problem{Status: status}).GetHeaders() {
		if _, known := commonHeaders()[canonical(name)]; known {
			r.Headers[canonical(name)] = headerRef(name)
		}
	}
	return r
}

func edgeRefusals(rt *route) []Refusal {
	list := []Refusal{
		{fault.TooLarge, codeTooLarge}, // the edge reads to the end whatever body there is
		{fault.Internal, codeInternal},
		{fault.Unavailable, codeUnavailable},
	}
	if !rt.anyQuery {
		list = append(list, Refusal{fault.Malformed, codeBadParameter})
	}
	if rt.scope != Public {
		list = append(list,
			Refusal{fault.Unauthenticated, codeUnauthenticated},
			Refusal{fault.Forbidden, codeForbidden},
			Refusal{fault.Limited, codeRateLimited})
	}
	if rt.body {
		list = append(list,
			Refusal{fault.Malformed, codeMalformedBody},
			Refusal{fault.Unsupported, codeUnsupported},
			Refusal{fault.Invalid, codeValidation})
	}
	return list
}
