package bench

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"onepg/internal/postgres/embedded"
)

// pgbench is PostgreSQL's own load tool: what the database does when nothing
// stands before it.
type pgbench struct{ path string }

// findPgbench looks beside the server's binaries and in the path. Without it
// its rows are left out.
func (l *lab) findPgbench(ctx context.Context) (pgbench, bool) {
	if found, err := embedded.FindBinaries(ctx, l.options.Config.Database.BinDir); err == nil {
		beside := filepath.Join(found.Dir, "pgbench")
		if _, err := os.Stat(beside); err == nil {
			return pgbench{beside}, true
		}
	}
	found, err := exec.LookPath("pgbench")
	return pgbench{found}, err == nil
}

// script is a transaction that pgbench repeats.
type script struct {
	text    string
	clients int
	// each is how much one transaction counts for: the rows it inserts.
	each float64
}

// running measures the script.
func (p pgbench) running(s *stage, db *database, sc script) func(context.Context) (sample, error) {
	return func(ctx context.Context) (sample, error) { return p.run(ctx, s, db, sc) }
}

// run gives the rate and the mean latency, which stands where others have the
// median: pgbench reports no percentiles. Statements are prepared, its fastest way.
func (p pgbench) run(ctx context.Context, s *stage, db *database, sc script) (sample, error) {
	file, err := os.CreateTemp("", "pgbench-*.sql")
	if err != nil {
		return sample{}, fmt.Errorf("write a script for pgbench: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // a leftover in the directory for leftovers
	if _, err := file.WriteString(sc.text); err != nil {
		return sample{}, fmt.Errorf("write a script for pgbench: %w", err)
	}
	if err := file.Close(); err != nil {
		return sample{}, fmt.Errorf("write a script for pgbench: %w", err)
	}
	address, err := libpqURL(db.url)
	if err != nil {
		return sample{}, err
	}
	seconds := max(1, int(s.options.Duration.Seconds()+0.5))
	limit := []string{"-T", strconv.Itoa(seconds)}
	if s.options.each > 0 {
		limit = []string{"-t", strconv.Itoa(s.options.each)}
	}
	process := exec.CommandContext(ctx, p.path, append(limit, "-n", "-M", "prepared", "-f", file.Name(),
		"-c", strconv.Itoa(sc.clients), "-j", "2", "-D", "n="+strconv.Itoa(s.nextSeries()), address)...)
	busy := s.watchCores(0, 0)
	output, err := process.CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("pgbench: %w\n%s", err, output)
	}
	rate, err := parsePgbench(string(output))
	if err != nil {
		return sample{}, err
	}
	used := busy()
	if used != nil {
		used.Client = (process.ProcessState.UserTime() + process.ProcessState.SystemTime()).Seconds() / float64(seconds)
	}
	return sample{figure: rate * sc.each, cores: used}, nil
}

// nextSeries gives the first of a million numbers that no script has used.
func (s *stage) nextSeries() int {
	const million = 1_000_000
	s.series += million
	return s.series
}

// parsePgbench finds the rate, without the time to connect.
func parsePgbench(output string) (float64, error) {
	found := regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without initial connection time\)`).FindStringSubmatch(output)
	if found == nil {
		return 0, fmt.Errorf("pgbench printed no rate: %s", output)
	}
	rate, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		return 0, fmt.Errorf("pgbench printed no rate: %w", err)
	}
	return rate, nil
}

// libpqURL turns pgdriver's form of a socket's address, where host is the socket
// itself, into libpq's, where host is its directory.
func libpqURL(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("read the server's address: %w", err)
	}
	query := u.Query()
	dir, file := path.Split(query.Get("host"))
	if port, ok := strings.CutPrefix(file, ".s.PGSQL."); ok {
		query.Set("host", path.Clean(dir))
		query.Set("port", port)
		u.RawQuery = query.Encode()
	}
	return u.String(), nil
}
