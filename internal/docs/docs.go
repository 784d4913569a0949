// Package docs serves the pages on which people read the API's specification
// and try its routes: GET /docs.
//
// The renderer is Swagger UI, part of the program (see VENDORED.md). Why this
// one: of those that can send requests it is the smallest, and it needs no
// eval, so the page keeps to a strict Content-Security-Policy. It loads nothing
// from elsewhere, works without a network, and shows what /openapi.json says;
// nothing of the API is written down here.
//
// The page is public, as the specification is. What it sends goes through the
// API like any other request, with the credential that a person gives it.
package docs

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"onepg/internal/httpapi"
)

//go:embed assets page.html
var files embed.FS

// policy is that of all pages, and pictures that are written into style sheets,
// which is how Swagger UI has its own.
func policy() string {
	return strings.Replace(httpapi.PagePolicy, "img-src 'self'", "img-src 'self' data:", 1)
}

// content is what the page shows before, or without, its script.
type content struct {
	Title, Text   string
	Specification string
	Scripts       bool
}

// Mount registers the page.
func Mount(api *httpapi.API) {
	p := &page{}
	g := api.Pages("/docs", func(c *gin.Context, problem *httpapi.Problem) error {
		return p.write(c, problem.Status, content{Title: problem.Title, Text: problem.Detail})
	})
	assets := g.Assets(assetFiles())
	p.layout = template.Must(template.New("page.html").Funcs(template.FuncMap{"asset": assets.URL}).ParseFS(files, "page.html"))
	g.Raw(httpapi.Operation{Method: http.MethodGet, Path: "", Scope: httpapi.Public, Hidden: true}, func(c *gin.Context) error {
		return p.write(c, http.StatusOK, content{Title: "onepg API", Text: "This page needs JavaScript.", Scripts: true})
	})
}

// assetFiles are what the page loads.
func assetFiles() fs.FS {
	sub, err := fs.Sub(files, "assets")
	if err != nil {
		return files // fs.Sub fails only for a name that is no path
	}
	return sub
}

type page struct{ layout *template.Template }

func (p *page) write(c *gin.Context, status int, what content) error {
	what.Specification = "/openapi.json"
	var html bytes.Buffer
	if err := p.layout.Execute(&html, what); err != nil {
		return fmt.Errorf("make the page of the documentation: %w", err)
	}
	c.Header("Content-Security-Policy", policy())
	return httpapi.WritePage(c, status, html.Bytes())
}
