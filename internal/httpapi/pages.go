package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"onepg/internal/fault"
)

// PagePolicy is the Content-Security-Policy of every page: all that it loads
// comes from this server and nothing runs that is written into it, so markup
// that a payload smuggles in has no effect. No page may be framed by another,
// and forms go only to us.
const PagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// pages are the routes below a prefix that people look at with a browser.
type pages struct {
	prefix string
	refuse func(*gin.Context, *Problem) error
}

// Pages opens the routes below prefix, which people look at with a browser:
// what is refused there, by whatever part of the edge, is answered by refuse
// and not by a problem. Where refuse fails without having written, the problem
// is the answer all the same. Headers of the answer's status are set by then.
func (a *API) Pages(prefix string, refuse func(*gin.Context, *Problem) error) *Group {
	a.pages = append(a.pages, pages{prefix, refuse})
	return &Group{api: a, prefix: prefix, domain: strings.TrimPrefix(prefix, "/")}
}

// pagesOf finds the pages that a path is one of.
func (a *API) pagesOf(urlPath string) (pages, bool) {
	for _, p := range a.pages {
		if urlPath == p.prefix || strings.HasPrefix(urlPath, p.prefix+"/") {
			return p, true
		}
	}
	return pages{}, false
}

// WritePage answers with a page under the policy of all pages, unless its
// handler has set another.
func WritePage(c *gin.Context, status int, html []byte) error {
	header := c.Writer.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	if header.Get("Content-Security-Policy") == "" {
		header.Set("Content-Security-Policy", PagePolicy)
	}
	header.Set("Referrer-Policy", "same-origin")
	c.Status(status)
	if _, err := c.Writer.Write(html); err != nil {
		return fmt.Errorf("write a page: %w", errors.Join(c.Request.Context().Err(), err))
	}
	return nil
}

// Assets are files that pages load: style sheets, scripts, pictures. They are
// part of the program, so no build step and no other server is needed.
type Assets struct {
	path  string
	files map[string]asset
}

type asset struct {
	body        []byte
	packed      []byte // the same with gzip; nil where it is not kept so
	contentType string
	tag         string // of the content
}

// Assets serves the style sheets, scripts and SVG pictures of a file system at
// <group>/assets/<name>. They are public: what everybody can download with the
// program is no secret, and the page that asks for a credential needs them.
// Files of other kinds, such as notes on versions, are not served. A file that is
// kept with gzip, as name.gz, is served under its name without .gz.
func (g *Group) Assets(files fs.FS) *Assets {
	s := &Assets{path: g.prefix + "/assets", files: map[string]asset{}}
	if err := s.read(files); err != nil {
		g.api.failures = append(g.api.failures, fmt.Errorf("assets of %s: %w", g.prefix, err))
		return s
	}
	g.Raw(Operation{Method: http.MethodGet, Path: "/assets/{path...}", Scope: Public, Hidden: true}, s.serve)
	return s
}

func (s *Assets) read(files fs.FS) error {
	return fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error { //nolint:wrapcheck // the caller says whose they are
		plain, zipped := strings.CutSuffix(name, ".gz")
		if err != nil || entry.IsDir() || assetType(plain) == "" {
			return err
		}
		f := asset{contentType: assetType(plain)}
		if f.body, err = fs.ReadFile(files, name); err != nil {
			return err //nolint:wrapcheck // as above; fs says which
		}
		sum := sha256.Sum256(f.body)
		const enough = 12
		f.tag = base64.RawURLEncoding.EncodeToString(sum[:enough])
		if zipped {
			f.packed = f.body
			if f.body, err = unzip(f.packed); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		s.files[plain] = f
		return nil
	})
}

// assetType is a file's media type, or empty. Why not package mime: that asks
// the machine it runs on.
func assetType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return ""
}

func unzip(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says of which file
	}
	return io.ReadAll(r) //nolint:wrapcheck // as above
}

// URL is where a page finds a file. It changes with the content, so a browser
// may keep what it has for ever. It fails for a name that is not there.
func (s *Assets) URL(name string) (string, error) {
	f, ok := s.files[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %s", name)
	}
	return s.path + "/" + name + "?v=" + f.tag, nil
}

func (s *Assets) serve(c *gin.Context) error {
	f, ok := s.files[strings.TrimPrefix(c.Param("path"), "/")]
	if !ok {
		return fault.New(fault.NotFound, codeNotFound, "There is no such file.")
	}
	header := c.Writer.Header()
	header.Set("Content-Type", f.contentType)
	header.Set("Content-Security-Policy", PagePolicy) // an SVG can be opened as a page
	header.Set("Etag", `"`+f.tag+`"`)
	header.Set("Cache-Control", "no-cache")
	// Why only then: during an update two programs answer, and what one of them
	// has must not be kept under the other's address.
	if c.Query("v") == f.tag {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if c.Request.Header.Get("If-None-Match") == `"`+f.tag+`"` {
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return nil
	}
	body := f.body
	if f.packed != nil {
		header.Add("Vary", "Accept-Encoding")
		if strings.Contains(c.Request.Header.Get("Accept-Encoding"), "gzip") {
			header.Set("Content-Encoding", "gzip")
			body = f.packed
		}
	}
	c.Status(http.StatusOK)
	if _, err := c.Writer.Write(body); err != nil {
		return fmt.Errorf("write an asset: %w", errors.Join(c.Request.Context().Err(), err))
	}
	return nil
}
