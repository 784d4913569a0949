//go:build fault

package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"syscall"
	"time"
)

// postgresFaults hit the server's processes and what it has to give.
func postgresFaults() []scenario {
	return []scenario{
		{name: "postmaster killed", promises: []string{"P8", "P9", "P10", "P13"}, hurts: true, run: killPostmaster},
		{name: "backend killed in commit", promises: []string{"P9", "P10", "P13"}, hurts: true, run: killBackend},
		{name: "listener terminated", promises: []string{"P8", "P9", "P13"}, run: terminateListener},
		{name: "listener half-open", promises: []string{"P8", "P9", "P13"}, run: freezeListener},
		{name: "log head locked", promises: []string{"P9", "P10"}, hurts: true, run: lockHead},
		{name: "statements time out", promises: []string{"P9", "P10"}, hurts: true, args: []string{"--statement-timeout=500ms", "--lock-timeout=4s"}, run: lockHeadBriefly},
		{name: "pool exhausted", promises: []string{"P9", "P10"}, hurts: true, run: exhaustPool},
		{name: "max_connections reached", promises: []string{"P8", "P9", "P10", "P13"}, hurts: true, run: exhaustConnections},
		{name: "server read-only", promises: []string{"P9", "P10"}, hurts: true, run: readOnly},
		{name: "restart with idle connections", promises: []string{"P9"}, alone: true, run: restartIdle},
		{name: "trigger dropped", promises: []string{"P8"}, run: dropTrigger},
	}
}

// away is how long a server that was killed stays so.
const away = 700 * time.Millisecond

func killPostmaster(r *run) {
	for i := range either(4, 20) {
		r.during(500 * time.Millisecond)
		r.fault(1)
		signal := syscall.SIGKILL
		if i%4 == 3 {
			signal = syscall.SIGINT // an administrator's restart
		}
		r.must(r.cluster.kill(signal))
		r.during(away)
		r.must(r.cluster.restart(r.ctx))
		r.over()
	}
}

// killBackend kills the process that commits an append. The server answers that
// with a restart of all its processes.
func killBackend(r *run) {
	for range either(3, 15) {
		pid, err := r.cluster.backend(r.ctx, r.database, `application_name = 'onepg append' AND state = 'active'`)
		r.must(err)
		r.fault(1)
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
		r.over()
	}
}

const listens = `query ILIKE 'LISTEN%' OR application_name = 'onepg listen'`

func terminateListener(r *run) {
	for range either(8, 40) {
		pid, err := r.cluster.backend(r.ctx, r.database, listens)
		r.must(err)
		r.fault(0)
		r.exec(fmt.Sprintf(`SELECT pg_terminate_backend(%d)`, pid))
		r.during(150 * time.Millisecond)
	}
	r.over()
}

// freezeListener stops the process behind a LISTEN, which keeps its connection
// open and says nothing, and looks how late events are visible meanwhile.
func freezeListener(r *run) {
	pid, err := r.cluster.backend(r.ctx, r.database, listens)
	r.must(err)
	r.fault(0)
	r.must(syscall.Kill(pid, syscall.SIGSTOP))
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	r.visible(either(6, 60))
	r.must(syscall.Kill(pid, syscall.SIGCONT))
	r.over()
}

// visible is P8: an event is visible within 1.5 s although no notification
// arrives.
func (r *run) visible(times int) {
	const limit = 1500 * time.Millisecond
	c := newClient("visible", r.log)
	defer c.close()
	for i := range times {
		began := time.Now()
		served := r.serves(c, r.replicas[i%len(r.replicas)])
		if took := time.Since(began); !served || took > limit {
			r.broken("P8", "without notifications an event was visible after %v (visible: %t)", took.Round(time.Millisecond), served)
		}
		r.during(100 * time.Millisecond)
	}
}

// holding runs statements in a transaction that it keeps open for a while.
func (r *run) holding(d time.Duration, statement string) {
	db := connect(r.direct)
	defer db.Close()
	tx, err := db.BeginTx(r.ctx, nil)
	r.must(err)
	_, err = tx.ExecContext(r.ctx, statement)
	r.must(err)
	r.fault(0)
	r.during(d)
	r.must(tx.Rollback())
}

func lockHead(r *run) {
	r.holding(10*time.Second, `SELECT FROM event_log_head FOR UPDATE`)
	r.over()
}

func lockHeadBriefly(r *run) {
	r.holding(4*time.Second, `SELECT FROM event_log_head FOR UPDATE`)
	r.over()
}

// exhaustPool keeps every connection of the API waiting for a table.
func exhaustPool(r *run) {
	r.holding(5*time.Second, `LOCK TABLE users IN ACCESS EXCLUSIVE MODE`)
	r.over()
}

// exhaustConnections takes every connection that the server has to give while
// the replicas have to connect anew.
func exhaustConnections(r *run) {
	var taken []*sql.Conn
	var pools []*sql.DB
	free := func() {
		for _, conn := range taken {
			_ = conn.Close()
		}
		for _, db := range pools {
			_ = db.Close()
		}
	}
	defer free()
	r.fault(0)
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		db := connect(r.cluster.direct("postgres"))
		pools = append(pools, db)
		conn, err := db.Conn(r.ctx)
		if err == nil {
			taken = append(taken, conn)
			continue
		}
		// Full: now the replicas lose theirs, and we take those too.
		if _, err := r.cluster.admin.ExecContext(r.ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = '`+r.database+`' AND application_name LIKE 'onepg%' ORDER BY random() LIMIT 5`); err != nil {
			r.Logf("terminate: %v", err)
		}
		r.during(20 * time.Millisecond)
	}
	if len(taken) < 50 {
		r.Fatalf("only %d connections were taken", len(taken))
	}
	free()
	taken, pools = nil, nil
	r.over()
}

func readOnly(r *run) {
	r.fault(0)
	r.exec(`ALTER SYSTEM SET default_transaction_read_only = on`)
	r.exec(`SELECT pg_reload_conf()`)
	r.during(4 * time.Second)
	r.writable()
	r.over()
}

// writable undoes readOnly.
func (r *run) writable() {
	conn, err := r.cluster.admin.Conn(r.ctx)
	r.must(err)
	defer conn.Close()
	for _, s := range []string{
		`SET default_transaction_read_only = off`, `ALTER SYSTEM RESET default_transaction_read_only`, `SELECT pg_reload_conf()`, `RESET default_transaction_read_only`,
	} {
		_, err := conn.ExecContext(r.ctx, s)
		r.must(err)
	}
}

// restartIdle restarts the server under full pools that nobody uses, and counts
// what that costs those who come afterwards.
func restartIdle(r *run) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		const clients, each = 16, 10
		r.busy(3*clients, 5*each)
		r.fault(1)
		r.must(r.cluster.kill(signal))
		r.must(r.cluster.restart(r.ctx))
		statuses := r.busy(clients, each)
		failed := 0
		for status, n := range statuses {
			if status >= 400 || status == 0 {
				failed += n
			}
		}
		if all := clients * each * 2; failed*100 > all {
			r.broken("P9", "after a restart (%v) %d of %d requests failed: %v", signal, failed, all, statuses)
		}
		r.over()
	}
}

// busy makes many clients write and read, so that every pool is full.
func (r *run) busy(clients, each int) map[int]int {
	return r.crowd(clients, func(c *client, i int) (all []int) {
		w := &worker{client: c}
		for range each {
			e := w.event("user.created", &target{id: newID()}, nil)
			o, _ := c.do(r.ctx, r.replicas[i%2], op{Kind: "append", Events: []sent{e}}, request{method: "POST", path: "/v1/users/events", body: e})
			all = append(all, o.Status)
			o, _ = c.do(r.ctx, r.replicas[i%2], op{Kind: "read"}, request{method: "GET", path: "/v1/users?limit=1"})
			all = append(all, o.Status)
		}
		return all
	})
}

func dropTrigger(r *run) {
	const trigger = `CREATE TRIGGER events_notify_created AFTER INSERT ON events
		REFERENCING NEW TABLE AS created FOR EACH STATEMENT EXECUTE FUNCTION notify_events_created()`
	r.fault(0)
	r.sql(`DROP TRIGGER events_notify_created ON events`)
	r.visible(either(8, 60))
	r.sql(trigger)
	r.over()
}

// background lets something run beside the scenario until stop is called.
func (r *run) background(do func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}
