package embedded

import (
	"maps"
	"os"
	"slices"
	"strings"
)

// defaults are the server's settings. They go on the command line, not into
// postgresql.conf: so a better default of ours reaches clusters that exist, and
// neither the file nor ALTER SYSTEM can take durability away unseen.
func defaults() map[string]string {
	return map[string]string{
		// Why: an acknowledged event survives kill -9 and power loss.
		"fsync":              "on",
		"synchronous_commit": "on",
		"full_page_writes":   "on",
		// Why: the socket's directory is the access control; see the package comment.
		"listen_addresses": "",
		"port":             port,
		// Why: enough to keep the hot end of the log and its indexes in memory,
		// little enough for a laptop or the smallest server.
		"shared_buffers": "128MB",
		// Why: some replicas of the app with their pools, psql and a backup. Each
		// connection costs about 10 MB at worst, so not more.
		"max_connections": "100",
		// Why: queries are short, and compiling one takes 200 ms where a table that
		// was not analyzed yet makes it look long.
		"jit": "off",
		// Why: the contract's times are UTC, whatever the machine says.
		"timezone":     "UTC",
		"log_timezone": "UTC",
		// Why: the log is one file that this package opens; a collector process
		// would write it somewhere else.
		"log_destination":   "stderr",
		"logging_collector": "off",
		"log_line_prefix":   "%m [%p] ",
		// Why: a statement that fails, and the row that it fails with, say what users
		// wrote.
		"log_min_error_statement": "panic",
		"log_error_verbosity":     "terse",
		// Why: tells this cluster from others in ps.
		"cluster_name": "onepg",
	}
}

// arguments gives the settings as postgres wants them, in a stable order.
func arguments(settings map[string]string) []string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// directoryList quotes one directory for a setting that takes a list of them.
func directoryList(dir string) string {
	return `"` + strings.ReplaceAll(dir, `"`, `""`) + `"`
}

// environment is ours without what would change the server's behaviour (PGPORT,
// PGOPTIONS, the locale) and without the program's own secrets.
func environment() []string {
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		for _, prefix := range []string{"PG", "APP_", "LC_", "LANG"} {
			if strings.HasPrefix(entry, prefix) {
				return true
			}
		}
		return false
	})
	// Why: without a locale the macOS frameworks start threads, which the
	// postmaster refuses; and messages must be the ones this package reads.
	return append(env, "LC_ALL=C")
}
