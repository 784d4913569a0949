// Package tsclient writes a TypeScript client for the API: types made from the
// OpenAPI document, and a small runtime over them that knows what is particular
// about this API (ids from the client, retries, views that follow, a stream that
// resumes).
//
// The package that it writes is ready to be imported: JavaScript modules with
// their declarations, without dependencies, for browsers and Node. Nothing but
// this program is needed to make it. Why not openapi-typescript: it needs Node
// where the client is made, and knows neither which events create something nor
// which codes a route's problems have; the schemas this API uses are few enough
// for the emitter to be shorter than the adaptation would be.
//
// Everything particular to one API is in types.d.ts. The runtime is compiled
// from runtime/index.ts (make generate) and the same for all.
package tsclient

import (
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed runtime/index.js runtime/index.d.ts runtime/README.md
var runtime embed.FS

// File is one file of the package that Make makes.
type File struct {
	Name    string
	Content []byte
}

// Make makes the package for an OpenAPI document.
func Make(document []byte) ([]File, error) {
	var doc node
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	types, err := emit(doc)
	if err != nil {
		return nil, err
	}
	manifest, err := packageJSON(doc)
	if err != nil {
		return nil, err
	}
	files := []File{{"package.json", manifest}, {"types.d.ts", types}}
	for _, name := range []string{"index.js", "index.d.ts", "README.md"} {
		content, err := runtime.ReadFile("runtime/" + name)
		if err != nil {
			return nil, fmt.Errorf("read the runtime: %w", err)
		}
		files = append(files, File{name, content})
	}
	return files, nil
}

// Write writes the package into a folder, which it makes where it is missing.
// Files of the same names are overwritten; others are left alone.
func Write(folder string, files []File) error {
	const folderMode, fileMode = 0o755, 0o644
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return fmt.Errorf("make the folder of the client: %w", err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(folder, f.Name), f.Content, fileMode); err != nil {
			return fmt.Errorf("write the client: %w", err)
		}
	}
	return nil
}

// packageJSON describes the package to npm. It is private, so that nobody
// publishes it by accident.
func packageJSON(doc node) ([]byte, error) {
	info := doc.node("info")
	text, err := json.MarshalIndent(map[string]any{
		"name":        "onepg-client",
		"version":     "0.0.0",
		"description": "A client for the API of " + info.text("title") + " " + info.text("version") + ", generated from its specification",
		"private":     true,
		"type":        "module",
		"sideEffects": false,
		"license":     info.node("license").text("name"),
		"engines":     map[string]string{"node": ">=20.3"},
		"types":       "./index.d.ts",
		"exports":     map[string]any{".": map[string]string{"types": "./index.d.ts", "default": "./index.js"}},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("describe the package: %w", err)
	}
	return append(text, '\n'), nil
}
