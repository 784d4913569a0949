package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// readDotenv reads NAME=value lines. A missing file is an empty one.
//
// Why not viper's own parser: it cuts an unquoted value at the first #, which
// is half a password, replaces $NAME by nothing where NAME is unset, and
// prints the whole line, secret and all, in its errors. Here a value is what is
// written: bare (a # after a space starts a comment), 'as it stands', or
// "with Go's escapes".
func readDotenv(name string) (map[string]string, error) {
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // a nil map reads as an empty file
	}
	if err != nil {
		return nil, fmt.Errorf("settings file: %w", err)
	}
	given := make(map[string]string)
	for i, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, text, err := parseLine(line)
		if err == nil {
			_, twice := given[key]
			if twice {
				err = errors.New(key + " was set before; keep one of the two lines")
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s line %d: %w", name, i+1, err)
		}
		given[key] = text
	}
	return given, nil
}

// parseLine takes NAME=value apart. Its errors never hold the value.
func parseLine(line string) (key, text string, err error) {
	assignment := regexp.MustCompile(`^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$`).FindStringSubmatch(line)
	if assignment == nil {
		return "", "", errors.New("write it as NAME=value")
	}
	text, err = parseText(assignment[2])
	return assignment[1], text, err
}

func parseText(written string) (string, error) {
	if written == "" || (written[0] != '"' && written[0] != '\'') {
		bare, _, _ := strings.Cut(" "+written, " #")
		return strings.TrimSpace(bare), nil
	}
	end := closing(written)
	if end < 0 {
		return "", errors.New("a quote is not closed on its line")
	}
	rest := strings.TrimSpace(written[end+1:])
	if rest != "" && rest[0] != '#' {
		return "", errors.New("something follows the closing quote")
	}
	if written[0] == '\'' {
		return written[1:end], nil
	}
	text, err := strconv.Unquote(written[:end+1])
	if err != nil {
		return "", errors.New("the quoted value has an unknown escape; in single quotes nothing is escaped")
	}
	return text, nil
}

// closing is the index of the quote that ends what the first one started.
func closing(written string) int {
	quote := written[0]
	for i := 1; i < len(written); i++ {
		switch {
		case written[i] == quote:
			return i
		case written[i] == '\\' && quote == '"':
			i++
		}
	}
	return -1
}
