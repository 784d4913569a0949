package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// ID is a UUID in a path or a body: canonical form only, any version but nil
// and max. Upper case is the same id.
type ID struct{ uuid.UUID }

// UnmarshalText refuses the braces, prefixes and missing hyphens that
// uuid.Parse lets through.
func (id *ID) UnmarshalText(text []byte) error {
	const canonical = 36
	parsed, err := uuid.ParseBytes(text)
	if err != nil || len(text) != canonical || parsed == uuid.Nil || parsed == uuid.Max {
		return errID()
	}
	id.UUID = parsed
	return nil
}

func errID() error {
	return errors.New("expected a UUID like 0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01")
}

// Schema describes an ID in the specification.
func (ID) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Format: "uuid", Examples: []any{"0193b7a2-4c1e-7d60-8f7e-1b1d1f6f0a01"},
	}
}

// encode is the one JSON encoding of answers: "<" stays "<", because an answer
// is never part of a page.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return buf.Bytes(), nil
}

// jsonFormat is the encoding for huma. It encodes before it writes, so that a
// value that cannot be encoded becomes a clean 500 instead of half an answer.
func jsonFormat() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error {
			body, err := encode(v)
			if err != nil {
				// Why: huma would write its own words into the body.
				panic(err) //nolint:forbidigo // a type that cannot be encoded is a programmer's error; the edge recovers
			}
			// Why ignored: the client is gone, and huma would panic about it.
			_, _ = w.Write(body) // see above
			return nil
		},
		Unmarshal: json.Unmarshal,
	}
}

// WriteJSON answers a raw route with v. It returns an error, and writes
// nothing, when v cannot be encoded.
func WriteJSON(c *gin.Context, status int, v any) error {
	return writeAs(c, status, "application/json", v)
}

func writeAs(c *gin.Context, status int, contentType string, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	c.Writer.Header().Set("Content-Type", contentType)
	c.Writer.WriteHeader(status)
	_, _ = c.Writer.Write(body) // the client is gone; there is nobody to tell
	return nil
}
