package postgres

import "github.com/uptrace/bun/driver/pgdriver"

// Parsed shows the tests what a URL was understood as: pgdriver's
// configuration and the settings of the session.
func Parsed(url string) (*pgdriver.Config, map[string]string, error) {
	end, err := parseURL(url)
	if err != nil {
		return nil, nil, err
	}
	return end.conf, end.settings, nil
}
