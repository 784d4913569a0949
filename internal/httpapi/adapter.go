package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
)

const routeMetadata = "route"

// adapter is how huma's routes get behind our edge. It differs from humagin's
// in two things: the body is read and checked before huma sees it, and the
// query is checked against the parameters huma found in the types.
type adapter struct{ api *API }

// Handle mounts one operation; huma calls it from Register.
func (ad *adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	rt, ok := op.Metadata[routeMetadata].(*route)
	if !ok {
		panic("registered past Get and Post") //nolint:forbidigo // a programmer's error; guard turns it into one of registration
	}
	rt.learn(op)
	ad.api.mount(rt, func(c *gin.Context) error {
		// Why: a body declared as a pointer may be left out, and then has no type.
		if rt.body && (op.RequestBody.Required || c.Request.Body != http.NoBody) {
			if err := ad.api.checkBody(c); err != nil {
				return err
			}
		}
		handler(humagin.NewContext(op, c))
		return nil
	})
}

// ServeHTTP completes huma.Adapter; huma's own tests are its only caller.
func (ad *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { ad.api.engine.ServeHTTP(w, r) }

func (a *API) checkBody(c *gin.Context) error {
	body, err := ReadJSON(c)
	if err != nil {
		return err
	}
	if a.opts.CheckBody != nil {
		if err := a.opts.CheckBody(body); err != nil {
			return fmt.Errorf("check the body: %w", err)
		}
	}
	c.Request.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// humaConfig leaves out what huma adds for convenience: documentation pages
// that load from a CDN, links to schemas in every answer, other formats.
func humaConfig(version string) huma.Config {
	configureHuma()
	config := huma.DefaultConfig("onepg", version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Formats = map[string]huma.Format{"application/json": jsonFormat(), "json": jsonFormat()}
	config.Components.Schemas = huma.NewMapRegistry(schemaRef, schemaName)
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "An API key or a JWT; scopes are per route."},
	}
	return config
}

// schemaName is the name of a type's schema, which generated clients have their
// types by: what its method SchemaName says, else the type's own name. A page is
// named after its items.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if named, ok := reflect.Zero(t).Interface().(interface{ SchemaName() string }); ok {
		return named.SchemaName()
	}
	if strings.HasPrefix(t.Name(), "Page[") {
		if items, ok := t.FieldByName("Items"); ok {
			return schemaName(items.Type.Elem(), "") + "Page"
		}
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// configureHuma sets what huma keeps in package variables: its errors become
// ours, and field names are exact, and null is no list.
//
//nolint:gochecknoglobals // huma's variables are global; setting them once keeps parallel users free of races
var configureHuma = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return problemOfHuma(status, msg, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		p := problemOfHuma(status, msg, errs)
		p.Instance = RequestID(ctx.Context())
		return p
	}
})

// learn takes from the finished operation what the edge checks requests by.
func (rt *route) learn(op *huma.Operation) {
	rt.body = op.RequestBody != nil
	if !rt.hidden && !rt.anyQuery {
		rt.params = paramsOf(op)
	}
}

// inspect takes from the input type what the specification needs before huma
// has looked at it.
func (rt *route) inspect(input any) {
	_, rt.fresh = input.(interface{ Unchanged(version int) bool })
	_, rt.body = reflect.TypeOf(input).Elem().FieldByName("Body")
}
