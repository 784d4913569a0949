package app_test

import "strings"

func canaryIn(text string) string {
	for _, c := range []string{"Ada Lovelace", "ada@example.com"} {
		if strings.Contains(text, c) {
			return c
		}
	}
	return ""
}
