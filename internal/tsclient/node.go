package tsclient

import (
	"maps"
	"slices"
)

// node is an object of the document. Whatever is missing or of another kind
// reads as its zero value.
type node map[string]any

func asNode(v any) node {
	object, _ := v.(map[string]any)
	return object
}

func (n node) node(name string) node { return asNode(n[name]) }

func (n node) text(name string) string {
	text, _ := n[name].(string)
	return text
}

// texts reads a list of strings; a single one is a list too, as in the type of
// a schema.
func (n node) texts(name string) []string {
	if text := n.text(name); text != "" {
		return []string{text}
	}
	var texts []string
	for _, v := range n.list(name) {
		if text, ok := v.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

func (n node) list(name string) []any {
	list, _ := n[name].([]any)
	return list
}

func (n node) flag(name string) bool {
	flag, _ := n[name].(bool)
	return flag
}

// keys are in order, so that the same document gives the same text.
func (n node) keys() []string { return slices.Sorted(maps.Keys(n)) }
