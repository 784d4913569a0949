package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/wI2L/jsondiff"
)

// PatchOperation is one step of a JSON Patch (RFC 6902).
type PatchOperation struct {
	Op    string          `json:"op" enum:"add,remove,replace"`
	Path  string          `json:"path" doc:"Where in the row, as an RFC 6901 pointer; empty is the whole row." example:"/name"`
	Value json.RawMessage `json:"value,omitempty" doc:"What is there afterwards; not with remove."`
}

// diff gives the patch that makes after of before. A nil document is none:
// creation is the addition of the whole one, deletion its removal. Every field
// of the JSON counts, and applying the patches of a history in order gives
// exactly the rows.
//
// Why jsondiff: it keeps numbers as they are written, where the patches of
// gomodules.xyz/jsonpatch go through a float64, and diffs lists by their longest
// common part.
func diff[Row any](before, after *Row) ([]PatchOperation, error) {
	switch {
	case before == after: // also both nil
		return []PatchOperation{}, nil
	case after == nil:
		return []PatchOperation{{Op: jsondiff.OperationRemove}}, nil
	case before == nil:
		whole, err := encode(after)
		return []PatchOperation{{Op: jsondiff.OperationAdd, Value: whole}}, err
	}
	patch, err := jsondiff.Compare(before, after, jsondiff.MarshalFunc(encode), jsondiff.UnmarshalFunc(decodeExactly), jsondiff.LCS())
	if err != nil {
		return nil, fmt.Errorf("compare two states of %T: %w", after, err)
	}
	operations := make([]PatchOperation, len(patch))
	for i, op := range patch {
		operations[i] = PatchOperation{Op: op.Type, Path: op.Path}
		if op.Type == jsondiff.OperationRemove {
			continue
		}
		if operations[i].Value, err = encode(op.Value); err != nil {
			return nil, err
		}
	}
	return operations, nil
}

// decodeExactly keeps numbers as text.
func decodeExactly(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(v) //nolint:wrapcheck // jsondiff's caller says what was compared
}
