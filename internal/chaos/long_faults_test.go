//go:build fault

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// longFaults take other machines or other programs than the one we are, and the
// time to make them.
func longFaults() []scenario {
	return []scenario{
		{name: "disk full", promises: []string{"P9", "P10", "P13"}, hurts: true, long: true, own: true, run: fillDisk},
		{name: "clock one hour off", promises: []string{"P9", "P13"}, long: true, own: true, run: skewClock},
		{name: "two versions at once", promises: []string{"P9", "P13"}, long: true, own: true, run: twoVersions},
	}
}

// fillDisk runs the embedded server on a small file system and fills it.
func fillDisk(r *run) {
	disk := filepath.Join(r.dir, r.database, "disk")
	r.must(os.MkdirAll(disk, 0o755))
	if !linux() || exec.Command("mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", disk).Run() != nil {
		r.Skip("needs a small file system, which only root on Linux may mount")
	}
	r.Cleanup(func() { _ = exec.Command("umount", "-l", disk).Run() })
	r.embed(filepath.Join(disk, "data"))
	r.sql(`ALTER SYSTEM SET max_wal_size = '48MB'`)
	r.sql(`ALTER SYSTEM SET min_wal_size = '32MB'`)
	r.sql(`SELECT pg_reload_conf()`)
	r.loadUp()
	for range 5 {
		r.fault(0)
		ballast := filepath.Join(disk, "ballast")
		// Filled again and again, because a server that crashes gives some back.
		stop := r.background(func(ctx context.Context) {
			file, err := os.Create(ballast)
			if err != nil {
				return
			}
			defer file.Close()
			block := make([]byte, 64<<10)
			for ctx.Err() == nil {
				if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
					_ = pause(ctx, 5*time.Millisecond)
				}
			}
		})
		r.during(8 * time.Second)
		stop()
		r.must(os.Remove(ballast))
		r.over()
		r.during(time.Second)
	}
}

// skewClock runs one replica with a clock that is an hour ahead.
func skewClock(r *run) {
	r.must(r.addReplica("a", r.binary).start(r.ctx))
	r.must(r.addReplica("b", r.skewed()).start(r.ctx))
	r.fault(0)
	r.loadUp()
	r.during(20 * time.Second)
	victim := r.replicas[0]
	r.fault(1)
	r.must(victim.kill())
	r.must(victim.start(r.ctx))
	r.over()
}

// twoVersions is an upgrade, replica by replica, with new events coming in
// before the old program is gone: it must not skip what it does not know.
func twoVersions(r *run) {
	newer := r.newer()
	r.must(r.addReplica("a", r.binary).start(r.ctx))
	r.must(r.addReplica("b", r.binary).start(r.ctx))
	r.loadUp()
	old, upgraded := r.replicas[0], r.replicas[1]
	r.fault(0)
	r.must(upgraded.signal(syscall.SIGTERM))
	r.must(upgraded.wait(20 * time.Second))
	upgraded.binary = newer
	r.must(upgraded.start(r.ctx))
	c := newClient("upgraded", r.log)
	defer c.close()
	w := worker{client: c}
	send := func(e sent) {
		o, a := c.do(r.ctx, upgraded, op{Kind: "append", Events: []sent{e}}, request{
			method: http.MethodPost, path: "/v1/users/events", body: e, header: http.Header{"Prefer": {"wait=10"}},
		})
		if o.Outcome != succeeded || a.header.Get("Preference-Applied") == "" {
			r.broken("P9", "%s was answered %d %s and shown %q", e.Name, o.Status, o.Detail, o.Code)
		}
	}
	for i := range 30 {
		at := &target{id: newID()}
		send(w.event("user.created", at, nil))
		nick := w.event("user.nicknamed", at, nil)
		nick.Payload = json.RawMessage(fmt.Sprintf(`{"name":"nick %d"}`, i))
		send(nick)
	}
	r.fault(1)
	r.must(old.kill())
	// It served as long as it ran, but does not begin with a log it cannot read.
	if err := old.start(r.ctx); err == nil {
		r.broken("P9", "the old program started on a log with events that it does not know")
	}
	old.binary = newer
	r.must(old.start(r.ctx))
	r.verifier = newer
	r.over()
}
