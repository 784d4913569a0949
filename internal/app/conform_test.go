package app_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/spf13/pflag"

	"onepg/internal/app"
	"onepg/internal/config"
	"onepg/internal/domains"
	"onepg/internal/domains/payments"
	"onepg/internal/domains/users"
)

// specification is the document of the program with its default settings, and
// what finds an operation in it.
type specification struct {
	text   []byte
	doc    *openapi3.T
	router routers.Router
}

// documented is made once: every answer of every test is held against it.
var documented = sync.OnceValues(func() (*specification, error) {
	set := pflag.NewFlagSet("app", pflag.ContinueOnError)
	config.Flags(set)
	settings, err := config.Load(set)
	if err != nil {
		return nil, err
	}
	s := &specification{}
	if s.text, err = app.Spec(app.Options{Config: settings, Version: "test", Domains: constructors(settings)}); err != nil {
		return nil, err
	}
	if s.doc, err = openapi3.NewLoader().LoadFromData(s.text); err != nil {
		return nil, err
	}
	if err := s.doc.Validate(context.Background(), openapi3.IsOpenAPI31OrLater()); err != nil {
		return nil, err
	}
	s.router, err = gorillamux.NewRouter(s.doc)
	return s, err
})

func constructors(settings *config.Config) []domains.Constructor {
	return []domains.Constructor{users.New, payments.New(payments.Policy(settings.Payments))}
}

// conform holds an answer against the specification: its status, its headers,
// its body, and for a problem its code.
func conform(t testing.TB, method, path string, got answer) {
	t.Helper()
	spec, err := documented()
	if err != nil {
		t.Fatalf("the specification: %v", err)
	}
	if err := spec.check(method, path, got); err != nil {
		t.Errorf("%s %s is not answered as the specification says: %v\n%d %v\n%.2000s", method, path, err, got.status, got.header, got.body)
	}
}

func (s *specification) check(method, path string, got answer) error {
	bodiless := method == http.MethodHead
	if bodiless {
		method = http.MethodGet
	}
	request := httptest.NewRequest(method, path, http.NoBody)
	route, params, err := s.router.FindRoute(request)
	if err != nil {
		return s.checkUnrouted(path, got)
	}
	if mediaType, _, _ := strings.Cut(got.header.Get("Content-Type"), ";"); mediaType != "application/json" && !strings.HasSuffix(mediaType, "problem+json") {
		bodiless = true // streams, metrics and the specification itself are no JSON to be validated by a schema
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route},
		Status:                 got.status, Header: got.header, Body: io.NopCloser(bytes.NewReader([]byte(got.body))),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, ExcludeResponseBody: bodiless, MultiError: true,
			SchemaValidationOptions: []openapi3.SchemaValidationOption{openapi3.WithStringFormatValidator("uuid", canonicalUUID())},
		},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		return err
	}
	return s.checkHeaders(route.Operation, got)
}

// canonicalUUID is the only form in which an answer has ids.
func canonicalUUID() openapi3.StringFormatValidator {
	return openapi3.NewRegexpFormatValidator(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
}

// checkUnrouted is for paths and methods that the specification does not have.
// Pages are none of its business.
func (s *specification) checkUnrouted(path string, got answer) error {
	page := regexp.MustCompile(`^/($|\?|docs|console)`)
	if page.MatchString(path) || got.status == http.StatusNoContent { // the answer to a preflight
		return nil
	}
	if got.status < http.StatusBadRequest {
		return errors.New("it is not there")
	}
	return nil
}

// checkHeaders finds headers of the API that the specification does not name.
func (s *specification) checkHeaders(op *openapi3.Operation, got answer) error {
	response := op.Responses.Value(strconv.Itoa(got.status))
	if response == nil {
		return errors.New("the status is not there") // the library lets an undocumented 304 pass
	}
	if got.header.Get("X-Request-ID") == "" {
		return errors.New("it has no X-Request-ID")
	}
	for _, name := range []string{"ETag", "Link", "Location", "Retry-After", "Preference-Applied", "WWW-Authenticate"} {
		if _, named := response.Value.Headers[name]; !named && got.header.Get(name) != "" {
			return errors.New("the header " + name + " is not there")
		}
	}
	return nil
}
