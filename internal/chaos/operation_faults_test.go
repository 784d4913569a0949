//go:build fault

package chaos

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"onepg/internal/postgres/embedded"
)

// operationFaults are what operators do, and what happens to the database that
// the program runs by itself.
func operationFaults() []scenario {
	return []scenario{
		{name: "embedded server killed", promises: []string{"P8", "P9", "P10", "P13"}, hurts: true, own: true, run: killEmbedded},
		{name: "two migrators, one killed", promises: []string{"P9"}, own: true, run: killMigrator},
		{name: "dump and restore", promises: []string{"P9"}, run: restore},
	}
}

// killEmbedded kills the server that the program started by itself, and the
// program with it.
func killEmbedded(r *run) {
	data := filepath.Join(r.dir, r.database, "data")
	r.embed(data)
	r.loadUp()
	for range either(3, 15) {
		r.during(500 * time.Millisecond)
		pid, err := postmaster(data)
		r.must(err)
		r.fault(1)
		r.must(syscall.Kill(pid, syscall.SIGKILL))
		r.over()
	}
	// All at once: what a power cut leaves.
	for range either(2, 10) {
		r.during(500 * time.Millisecond)
		pid, err := postmaster(data)
		r.must(err)
		r.fault(3)
		for _, p := range r.replicas {
			r.must(p.signal(syscall.SIGKILL))
		}
		r.must(syscall.Kill(pid, syscall.SIGKILL))
		for _, p := range r.replicas {
			<-p.gone
			r.must(p.start(r.ctx))
		}
		r.over()
	}
	// Who started the server goes; the other has it all the same.
	r.fault(1)
	r.must(r.replicas[0].kill())
	r.overAt(r.replicas[1])
	r.must(r.replicas[0].start(r.ctx))
	r.over()
}

// embed makes two replicas that share an embedded server in a directory.
func (r *run) embed(data string) {
	for _, name := range []string{"a", "b"} {
		p, err := newReplica(name, r.binary, filepath.Join(r.dir, r.database), r.args...)
		r.must(err)
		p.env = []string{"APP_DATA_DIR=" + data}
		r.replicas = append(r.replicas, p)
		r.must(p.start(r.ctx))
	}
	// One user more, so that the server is there to be judged when the replicas
	// have stopped.
	server, err := embedded.Start(r.ctx, embedded.Options{DataDir: data})
	r.must(err)
	r.Cleanup(func() { _ = server.Close() })
	r.direct = server.URL()
}

// killMigrator runs two migrators at once on an empty database, kills one at
// some moment, and expects the other to do the work.
func killMigrator(r *run) {
	random := r.rng()
	migrate := func(database string) *exec.Cmd {
		c := exec.Command(r.binary, "migrate", "up")
		c.Dir, c.Env = r.dir, append(environment(), "APP_DATABASE_URL="+r.cluster.direct(database))
		return c
	}
	for i := range either(6, 40) {
		database := r.database
		if i > 0 {
			database += "_more"
			r.exec(`CREATE DATABASE ` + database)
		}
		one, two := migrate(database), migrate(database)
		r.must(one.Start())
		var out strings.Builder
		two.Stdout, two.Stderr = &out, &out
		r.must(two.Start())
		r.during(time.Duration(random.IntN(250)) * time.Millisecond)
		r.fault(1)
		_ = one.Process.Kill() // it may have ended by itself
		_ = one.Wait()
		began := time.Now()
		if err := two.Wait(); err != nil {
			r.broken("P9", "a migrator failed because another was killed: %v\n%s", err, out.String())
		}
		r.result.recovery = max(r.result.recovery, time.Since(began))
		if i > 0 {
			r.exec(`DROP DATABASE ` + database + ` WITH (FORCE)`)
		}
	}
	for _, name := range []string{"a", "b"} { // both migrate as they start, too
		r.addReplica(name, r.binary)
	}
	var group sync.WaitGroup
	errs := make([]error, len(r.replicas))
	for i, p := range r.replicas {
		group.Go(func() { errs[i] = p.start(r.ctx) })
	}
	group.Wait()
	for _, err := range errs {
		r.must(err)
	}
	r.loadUp()
	r.over()
}

// restore moves the data to another server, by dump and restore, and goes on
// there: positions, versions, ids and views are what they were.
func restore(r *run) {
	r.during(time.Second)
	r.load.stop()
	r.caughtUp()
	r.readers = nil
	for _, p := range r.replicas {
		if err := p.stop(); err != nil {
			r.broken("P9", "%v", err)
		}
		p.proxy.close()
	}
	binaries, err := embedded.FindBinaries(r.ctx, "")
	r.must(err)
	r.fault(0)
	other, err := startCluster(r.ctx, filepath.Join(r.dir, "other"), r.cluster.options.Watcher, nil)
	r.must(err)
	r.Cleanup(func() { _ = other.close() })
	_, err = other.admin.ExecContext(r.ctx, `CREATE DATABASE `+r.database)
	r.must(err)
	// A dump of one database names roles and holds none.
	_, err = other.admin.ExecContext(r.ctx, `CREATE ROLE onepg_server NOLOGIN`)
	r.must(err)
	libpq := func(c *cluster) string {
		return "host=" + filepath.Dir(c.socket()) + " port=5432 user=postgres dbname=" + r.database
	}
	dump := exec.CommandContext(r.ctx, filepath.Join(binaries.Dir, "pg_dump"), libpq(r.cluster))
	load := exec.CommandContext(r.ctx, filepath.Join(binaries.Dir, "psql"), "-q", "-X", "-v", "ON_ERROR_STOP=1", libpq(other))
	load.Stdin, err = dump.StdoutPipe()
	r.must(err)
	var out strings.Builder
	dump.Stderr, load.Stderr = &out, &out
	r.must(load.Start())
	r.must(dump.Start())
	if loadErr, dumpErr := load.Wait(), dump.Wait(); loadErr != nil || dumpErr != nil {
		r.Fatalf("dump: %v, restore: %v\n%s", dumpErr, loadErr, out.String())
	}
	r.direct = other.direct(r.database)
	for _, p := range r.replicas {
		p.proxy, err = newProxy(other.socket())
		r.must(err)
		p.env = []string{"APP_DATABASE_URL=" + p.proxy.url(r.database)}
		r.must(p.start(r.ctx))
	}
	r.loadUp()
	r.over()
}
