package config

import (
	"fmt"
	"maps"
	"regexp"
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

// unknownKeys complains about every APP_* name that is no setting. Its value is
// not repeated: a mistyped APP_DATABASE_URL still holds a password.
func unknownKeys(rows []setting, given map[string]string, from Source) []string {
	keys := make([]string, len(rows))
	for i, row := range rows {
		keys[i] = row.key
	}
	var mistakes []string
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !strings.HasPrefix(key, prefix) || slices.Contains(keys, key) || isServiceLink(key, given[key]) {
			continue
		}
		mistakes = append(mistakes, fmt.Sprintf("%s (%s) is no setting; did you mean %s?", key, from, nearest(key, keys)))
	}
	return mistakes
}

// isServiceLink recognises the variables Kubernetes puts into every pod for a
// service whose name starts with "app": APP_SERVICE_HOST,
// APP_PORT=tcp://10.0.0.7:80, APP_PORT_80_TCP_ADDR and so on. Refusing them
// would keep the program from starting because of a neighbour's name.
func isServiceLink(key, value string) bool {
	link := regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
	address := regexp.MustCompile(`^(tcp|udp|sctp)://`)
	return link.MatchString(key) || (strings.HasSuffix(key, "_PORT") && address.MatchString(value))
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
