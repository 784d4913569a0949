package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/uptrace/bun"
)

// Machine is what a run was measured on.
type Machine struct {
	OS         string    `json:"os"`
	CPU        string    `json:"cpu"`
	Cores      int       `json:"cores"`
	Go         string    `json:"go"`
	PostgreSQL string    `json:"postgresql"`
	Settings   []Setting `json:"settings"`
	// CommitMillis is what it takes to make one commit durable, disk included:
	// the median of commits of one row by one client.
	CommitMillis float64 `json:"commit_ms"`
}

// Setting is one of PostgreSQL's that decide about speed and durability.
type Setting struct {
	Name  string `json:"name"  bun:"name"`
	Value string `json:"value" bun:"value"`
}

// String is the machine in three lines.
func (m Machine) String() string {
	var settings []string
	for _, s := range m.Settings {
		settings = append(settings, s.Name+"="+s.Value)
	}
	return fmt.Sprintf("%s, %d cores, %s, %s\nPostgreSQL %s: %s\nOne commit of one row by one client: %s ms",
		m.CPU, m.Cores, m.OS, m.Go, m.PostgreSQL, strings.Join(settings, " "), number(m.CommitMillis))
}

func describe(ctx context.Context, db *bun.DB) (Machine, error) {
	m := Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: processorName(), Cores: runtime.NumCPU(), Go: runtime.Version()}
	if err := db.QueryRowContext(ctx, "SHOW server_version").Scan(&m.PostgreSQL); err != nil {
		return m, fmt.Errorf("ask for PostgreSQL's version: %w", err)
	}
	err := db.NewRaw(`SELECT name, current_setting(name) AS value FROM pg_settings WHERE name IN (
		'fsync', 'synchronous_commit', 'full_page_writes', 'wal_level', 'shared_buffers', 'max_wal_size', 'data_checksums')
		ORDER BY name`).Scan(ctx, &m.Settings)
	if err != nil {
		return m, fmt.Errorf("ask for PostgreSQL's settings: %w", err)
	}
	m.CommitMillis, err = commitTime(ctx, db)
	return m, err
}

// commitTime tells how fast the disk is: with a slow one a figure here, and the
// worth of gathering commits, is quite another.
func commitTime(ctx context.Context, db *bun.DB) (float64, error) {
	const times = 50
	var took []float64
	for range times {
		start := now()
		// Why not a table: a message in the log is a commit like any other and
		// leaves nothing behind.
		if _, err := db.ExecContext(ctx, "SELECT pg_logical_emit_message(true, 'onepg bench', repeat('x', 500))"); err != nil {
			return 0, fmt.Errorf("measure a commit: %w", err)
		}
		took = append(took, milliseconds(now().Sub(start)))
	}
	return median(took), nil
}

// processorName is what Linux calls the processor, or its architecture.
func processorName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	_, after, _ := strings.Cut(string(text), "model name")
	line, _, _ := strings.Cut(after, "\n")
	if name := strings.TrimLeft(line, "\t :"); name != "" {
		return name
	}
	return runtime.GOARCH
}

// findPostmaster gives the process that a connection's backend is a child of,
// and 0 where it cannot be seen.
func findPostmaster(ctx context.Context, db *bun.DB) (int, error) {
	var backend int
	if err := db.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return 0, fmt.Errorf("ask for the backend's process: %w", err)
	}
	times, err := timesOf(backend)
	if err != nil {
		return 0, nil //nolint:nilerr // a system without /proc
	}
	return times.parent, nil
}
