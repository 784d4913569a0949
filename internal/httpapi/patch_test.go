package httpapi

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// document is a row of any shape.
type document struct {
	Value any `json:"value"`
}

// anything is a JSON value up to a depth. Names hold what a pointer escapes.
func anything(random *rand.Rand, depth int) any {
	switch kind := random.IntN(8); {
	case kind == 0:
		return nil
	case kind == 1:
		return random.IntN(2) == 0
	case kind == 2:
		return json.Number([]string{"1", "9007199254740993", "9007199254740992", "1.50", "1e300"}[random.IntN(5)])
	case kind < 5 || depth == 0:
		return []string{"", "a", "b<&>", "é\u2028"}[random.IntN(4)]
	case kind == 5:
		list := make([]any, random.IntN(5))
		for i := range list {
			list[i] = anything(random, depth-1)
		}
		return list
	default:
		object := make(map[string]any)
		for range random.IntN(5) {
			object[[]string{"a", "b", "c/d", "e~f", "~1", "0"}[random.IntN(6)]] = anything(random, depth-1)
		}
		return object
	}
}

// TestAPatchMakesTheRowAfterOfTheRowBefore applies the patches between random
// documents with an applier of its own.
func TestAPatchMakesTheRowAfterOfTheRowBefore(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		before, after := &document{anything(random, 3)}, &document{anything(random, 3)}
		operations, err := diff(before, after)
		if err != nil {
			t.Fatal(err)
		}
		got := exactly(t, before)
		for _, op := range operations {
			got = applied(t, got, op)
		}
		if want := exactly(t, after); !reflect.DeepEqual(got, want) {
			t.Fatalf("from %v by %v: %v, want %v", exactly(t, before), operations, got, want)
		}
		if same, err := diff(after, &document{after.Value}); err != nil || len(same) != 0 {
			t.Fatalf("no change is %v (%v)", same, err)
		}
	}
}

// exactly is a value as its JSON says, with numbers as they are written.
func exactly(t *testing.T, v any) any {
	t.Helper()
	text, err := encode(v)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := decodeExactly(text, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// applied is the document after one operation, as RFC 6902 section 4 says.
func applied(t *testing.T, tree any, op PatchOperation) any {
	t.Helper()
	var value any
	if op.Op != "remove" {
		if err := decodeExactly(op.Value, &value); err != nil {
			t.Fatalf("%s: %v", op.Path, err)
		}
	} else if op.Value != nil {
		t.Fatalf("remove %s has a value", op.Path)
	}
	if op.Path == "" {
		return value
	}
	after, err := descend(tree, strings.Split(op.Path[1:], "/"), op.Op, value)
	if err != nil {
		t.Fatalf("%s %s: %v", op.Op, op.Path, err)
	}
	return after
}

func descend(tree any, steps []string, op string, value any) (any, error) {
	step := strings.NewReplacer("~1", "/", "~0", "~").Replace(steps[0])
	last := len(steps) == 1
	switch node := tree.(type) {
	case map[string]any:
		child, there := node[step]
		if there != (op != "add") && last || !there && !last {
			return nil, fmt.Errorf("%q is there: %t", step, there)
		}
		if !last {
			var err error
			node[step], err = descend(child, steps[1:], op, value)
			return node, err
		}
		if node[step] = value; op == "remove" {
			delete(node, step)
		}
		return node, nil
	case []any:
		i, err := strconv.Atoi(step)
		if step == "-" {
			i, err = len(node), nil
		}
		if most := len(node); err != nil || i > most || i == most && (op != "add" || !last) {
			return nil, fmt.Errorf("%q is no place in a list of %d", step, len(node))
		}
		switch {
		case !last:
			node[i], err = descend(node[i], steps[1:], op, value)
			return node, err
		case op == "add":
			return append(node[:i:i], append([]any{value}, node[i:]...)...), nil
		case op == "remove":
			return append(node[:i:i], node[i+1:]...), nil
		default:
			node[i] = value
			return node, nil
		}
	}
	return nil, fmt.Errorf("%q is inside of %T", step, tree)
}

func TestTheBeginningAndTheEndAreWholeDocuments(t *testing.T) {
	t.Parallel()
	row := &document{Value: "<"}
	for what, c := range map[string]struct {
		before, after *document
		want          string
	}{
		"creation":          {nil, row, `[{"op":"add","path":"","value":{"value":"<"}}]`},
		"deletion":          {row, nil, `[{"op":"remove","path":""}]`},
		"nothing":           {nil, nil, `[]`},
		"the same":          {row, row, `[]`},
		"a null":            {row, &document{}, `[{"op":"replace","path":"/value","value":null}]`},
		"a number's digits": {&document{json.Number("9007199254740993")}, &document{json.Number("9007199254740992")}, `[{"op":"replace","path":"/value","value":9007199254740992}]`},
	} {
		operations, err := diff(c.before, c.after)
		if err != nil {
			t.Fatal(err)
		}
		got, err := encode(operations)
		if err != nil || strings.TrimSpace(string(got)) != c.want {
			t.Errorf("%s: %s (%v), want %s", what, got, err, c.want)
		}
	}
}
