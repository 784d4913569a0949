package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// variables turns NAME=value entries into a map.
func variables(environ []string) map[string]string {
	all := make(map[string]string, len(environ))
	for _, entry := range environ {
		key, value, _ := strings.Cut(entry, "=")
		all[key] = value
	}
	return all
}

// unknownKeys gives the APP_* names that are no setting, in order.
func unknownKeys(known []string, given map[string]string) []string {
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if strings.HasPrefix(key, prefix) && !slices.Contains(known, key) {
			unknown = append(unknown, key)
		}
	}
	return unknown
}

// typo is what is wrong with a name that is no setting. Its value is not
// repeated: a mistyped APP_DATABASE_URL still holds a password.
func typo(key string, from Source, known []string) string {
	return fmt.Sprintf("%s (%s) is no setting; did you mean %s?", key, from, nearest(key, known))
}

// isTypo tells a setting's name with a letter or so wrong from a name that means
// something to somebody else: APP_ENV, or what Kubernetes puts into every pod for a
// service that is called app. Refusing these would keep the program from starting
// because of its neighbours.
func isTypo(key string, known []string) bool {
	const oneIn = 4
	letters := len(key) - len(prefix)
	return distance(key, nearest(key, known)) <= max(1, letters/oneIn)
}

// nearest is the known key with the fewest letters changed.
func nearest(key string, keys []string) string {
	return slices.MinFunc(keys, func(a, b string) int { return distance(key, a) - distance(key, b) })
}

// distance is the Levenshtein distance of two ASCII words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
