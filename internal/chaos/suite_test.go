//go:build fault

package chaos

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	long     = flag.Bool("long", false, "run the long forms of the faults too")
	seedFlag = flag.Uint64("seed", 0, "repeat the random choices of an earlier run; 0 for new ones")
	program  = flag.String("program", "", "the program to break; empty builds it from these sources")
	keep     = flag.String("keep", "", "directory for the histories and logs; empty for a temporary one that is removed when all is well")
)

// suite is what all scenarios share.
type suite struct {
	binary  string
	dir     string
	seed    uint64
	cluster *cluster
	tally   tally
}

// TestFaults runs every scenario on one PostgreSQL, one after the other, and
// prints what came of it.
func TestFaults(t *testing.T) { //nolint:paralleltest // one fault at a time
	s := newSuite(t)
	fmt.Printf("seed %d, histories in %s\n", s.seed, s.dir)
	began := time.Now()
	for _, sc := range scenarios() { //nolint:paralleltest // as above
		if sc.long && !*long {
			continue
		}
		t.Run(sc.name, func(t *testing.T) { s.play(t, sc) })
	}
	fmt.Printf("\n%s\nseed %d, %s\n", s.tally.table(), s.seed, time.Since(began).Round(time.Second))
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	s := &suite{seed: cmp.Or(*seedFlag, uint64(time.Now().UnixNano()))}
	var err error
	if s.dir, err = os.MkdirTemp(*keep, "onepg-faults-"); err != nil { //nolint:usetesting // it stays when something is wrong
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if *keep == "" && !t.Failed() {
			_ = os.RemoveAll(s.dir)
		}
	})
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		t.Fatal(err)
	}
	if s.binary = *program; s.binary == "" {
		s.binary = filepath.Join(s.dir, "app")
		if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", s.binary, "onepg").CombinedOutput(); err != nil {
			t.Fatalf("build the program: %v\n%s", err, out)
		}
	}
	if s.cluster, err = startCluster(t.Context(), filepath.Join(s.dir, "cluster"), []string{s.binary, "embedded-watch"}, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.cluster.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A scenario is a fault, or several of a kind, under load.
type scenario struct {
	name string
	// promises are those that it puts to the test beyond the ones that every
	// scenario does (see always).
	promises []string
	long     bool
	// hurts says that requests fail meanwhile. If none does, the fault was none.
	hurts bool
	// alone says that no load runs but what the scenario makes itself.
	alone bool
	// own says that the scenario starts the replicas, and the load, itself.
	own bool
	// args are settings of the program for this scenario.
	args []string
	run  func(*run)
}

// always are the promises that every history is judged by.
func always() []string { return []string{"P1", "P2", "P3", "P4", "P5", "P6", "P7"} }

// A run is a scenario at work, on a database of its own.
type run struct {
	*testing.T
	*suite
	scenario

	ctx      context.Context //nolint:containedctx // the scenario's own, which ends all that it does
	database string
	direct   string // the database's URL, past the proxies
	verifier string // the program for app verify, if it is not the suite's
	replicas []*replica
	log      *recorder
	load     *load
	readers  []*reader
	ended    time.Duration // when the last fault ended, on the log's clock
	result   *result
}

const (
	workers = 10
	// normal is P9: how soon after a fault's end service is normal.
	normal = 10 * time.Second
)

func (s *suite) play(t *testing.T, sc scenario) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	r := &run{T: t, suite: s, scenario: sc, ctx: ctx, result: &result{name: sc.name, promises: append(always(), sc.promises...)}}
	defer func() {
		switch {
		case t.Skipped():
			r.result.name += " (left out)"
		case t.Failed() && len(r.result.violations) == 0:
			r.result.note(violation{check: "carried out", promises: r.result.promises})
		}
		s.tally.add(r.result)
	}()
	r.prepare()
	t.Cleanup(r.clear)
	if !sc.alone && !sc.own {
		r.loadUp()
	}
	sc.run(r)
	r.settle()
	r.finish()
	for _, v := range r.result.violations {
		t.Errorf("%s %s: %s", strings.Join(v.promises, " "), v.check, v.detail)
	}
	t.Logf("%d faults, %d kills, %d events, %d requests, normal after %v, %d violations",
		r.result.faults, r.result.kills, r.result.events, r.result.requests, r.result.recovery.Round(time.Millisecond), len(r.result.violations))
}

// must ends the scenario when its own means fail.
func (r *run) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// broken notes a promise that is seen broken as it happens.
func (r *run) broken(promise, format string, args ...any) {
	r.result.note(violation{check: r.name, promises: []string{promise}, detail: fmt.Sprintf(format, args...)})
}

// prepare makes the database and two replicas.
func (r *run) prepare() {
	r.database = "chaos_" + strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, r.name)
	r.exec(`CREATE DATABASE ` + r.database)
	r.direct = r.cluster.direct(r.database)
	var err error
	r.log, err = newRecorder(filepath.Join(r.dir, r.database+".ndjson"))
	r.must(err)
	if r.own {
		return
	}
	for _, name := range []string{"a", "b"} {
		r.must(r.addReplica(name, r.binary).start(r.ctx))
	}
}

// addReplica makes a replica with its own network to the cluster, and does not
// start it.
func (r *run) addReplica(name, binary string) *replica {
	p, err := newReplica(name, binary, filepath.Join(r.dir, r.database), r.args...)
	r.must(err)
	p.proxy, err = newProxy(r.cluster.socket())
	r.must(err)
	p.env = []string{"APP_DATABASE_URL=" + p.proxy.url(r.database)}
	r.replicas = append(r.replicas, p)
	return p
}

// network does the same to the network of each replica.
func (r *run) network(do func(*proxy)) {
	for _, p := range r.replicas {
		do(p.proxy)
	}
}

// exec runs a statement on the server, past the proxy, in the database postgres.
func (r *run) exec(statement string) {
	r.Helper()
	if _, err := r.cluster.admin.ExecContext(r.ctx, statement); err != nil {
		r.Fatalf("%s: %v", statement, err)
	}
}

// sql runs a statement in the scenario's database.
func (r *run) sql(statement string) {
	r.Helper()
	db := connect(r.direct)
	defer db.Close()
	if _, err := db.ExecContext(r.ctx, statement); err != nil {
		r.Fatalf("%s: %v", statement, err)
	}
}

// loadUp starts the load and its readers, and waits until all flows.
func (r *run) loadUp() {
	r.load = r.startLoad(workers)
	r.readers = []*reader{
		follow(r.ctx, "stream", "stream-a", r.replicas, r.log),
		follow(r.ctx, "stream", "stream-b", []*replica{r.replicas[1], r.replicas[0]}, r.log),
		follow(r.ctx, "straggle", "straggler", r.replicas, r.log),
		follow(r.ctx, "poll", "poll", r.replicas, r.log),
	}
	r.await("the load flows", func() bool { return r.load.acked.Load() > 200 && r.readers[0].reached() > 100 })
}

// during lets the load run for a while.
func (r *run) during(d time.Duration) { r.must(pause(r.ctx, d)) }

// await polls; what it waits for always comes, if late on a busy machine.
func (r *run) await(what string, done func() bool) {
	r.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(deadline) {
			r.Fatalf("waited a minute: %s", what)
		}
		r.must(pause(r.ctx, 10*time.Millisecond))
	}
}

// fault counts a fault that begins.
func (r *run) fault(kills int) {
	r.result.mu.Lock()
	defer r.result.mu.Unlock()
	r.result.faults++
	r.result.kills += kills
}

// over says that the fault has ended and measures how long it takes until each
// replica serves as if nothing had been: it appends, and its views show it.
func (r *run) over() {
	r.Helper()
	r.overAt(r.replicas...)
}

// overAt is over for some of the replicas.
func (r *run) overAt(replicas ...*replica) {
	r.Helper()
	r.ended = r.log.now()
	began := time.Now()
	c := newClient("probe", r.log)
	defer c.close()
	for _, p := range replicas {
		for !r.serves(c, p) {
			if since := time.Since(began); since > 3*normal {
				r.broken("P9", "%s does not serve %v after the fault's end", p.name, since.Round(time.Second))
				return
			}
			r.must(pause(r.ctx, 20*time.Millisecond))
		}
	}
	took := time.Since(began)
	r.result.recovery = max(r.result.recovery, took)
	if took > normal {
		r.broken("P9", "service was normal only %v after the fault's end", took.Round(time.Millisecond))
	}
}

// serves appends an event and expects the views to show it at once.
func (r *run) serves(c *client, p *replica) bool {
	w := worker{client: c}
	e := w.event("user.created", &target{id: newID()}, nil)
	o, a := c.do(r.ctx, p, op{Kind: "append", Events: []sent{e}}, request{
		method: "POST", path: "/v1/users/events", body: e, header: map[string][]string{"Prefer": {"wait=2"}},
	})
	return o.Outcome == succeeded && a.header.Get("Preference-Applied") != ""
}

// settle lets the load run on without a fault and then ends it.
func (r *run) settle() {
	if r.load == nil {
		return
	}
	r.during(time.Second)
	r.load.stop()
}

// finish judges the scenario.
func (r *run) finish() {
	r.caughtUp()
	for _, p := range r.replicas {
		if err := p.stop(); err != nil {
			r.broken("P9", "%v", err)
		}
	}
	r.clean()
	h, err := r.log.close()
	r.must(err)
	db := connect(r.direct)
	defer db.Close()
	s, err := readState(r.ctx, db)
	r.must(err)
	for _, v := range judge(h, s) {
		r.result.note(v)
	}
	r.stillFailing(h)
	r.result.events, r.result.requests = len(s.events), len(h.ops)
	for _, o := range h.ops {
		if o.Outcome == unknown && !o.Excused {
			r.result.failed++
		}
		if !o.Excused {
			r.result.slowest = max(r.result.slowest, o.Ended-o.Invoked)
		}
	}
	if r.hurts && r.result.failed == 0 {
		r.broken("P10", "no request failed, so nothing was broken")
	}
	verify := exec.CommandContext(r.ctx, cmp.Or(r.verifier, r.binary), "verify")
	verify.Dir, verify.Env = r.dir, append(environment(), "APP_DATABASE_URL="+r.direct)
	if out, err := verify.CombinedOutput(); err != nil {
		r.broken("P7", "app verify: %v\n%s", err, out)
	}
}

// stillFailing finds requests that failed although the fault was over for long.
func (r *run) stillFailing(h history) {
	late := 0
	for _, o := range h.ops {
		if o.Outcome == unknown && !o.Excused && r.ended > 0 && o.Invoked > r.ended+normal {
			if late++; late > maxReported {
				continue
			}
			r.broken("P9", "%s %s failed %v after the fault's end: %d %s", o.Client, o.Route, (o.Invoked - r.ended).Round(time.Millisecond), o.Status, o.Detail)
		}
		if o.Outcome == unknown && r.ended > 0 && o.Invoked > r.ended {
			r.result.recovery = max(r.result.recovery, o.Ended-r.ended)
		}
	}
}

// caughtUp waits until every view and every reader is at the end of the log.
func (r *run) caughtUp() {
	db := connect(r.direct)
	defer db.Close()
	deadline := time.Now().Add(normal)
	for {
		var head, slowest int64
		var parked int
		r.must(db.QueryRowContext(r.ctx, `SELECT h."position", (SELECT min("position") FROM view_positions WHERE view NOT LIKE '%_rebuild'),
			(SELECT count(*) FROM view_parked) FROM event_log_head h`).Scan(&head, &slowest, &parked))
		behind := slowest < head || parked > 0
		for _, reader := range r.readers {
			behind = behind || reader.reached() < head
		}
		if !behind {
			break
		}
		if time.Now().After(deadline) {
			for _, reader := range r.readers {
				if reader.reached() < head {
					r.broken("P13", "%s is at %d of %d, %v after the last event", reader.Reader, reader.reached(), head, normal)
				}
			}
			break // a view that is behind is found by its check
		}
		r.must(pause(r.ctx, 20*time.Millisecond))
	}
	for _, reader := range r.readers {
		reader.stop()
		r.result.resumed += reader.Resumed
	}
}

// clean looks for what must never be in a log.
func (r *run) clean() {
	for _, p := range r.replicas {
		text, err := os.ReadFile(filepath.Join(p.dir, p.name+".log"))
		r.must(err)
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") || strings.Contains(line, "level=ERROR msg=panic") {
				r.broken("P9", "%s panicked: %s", p.name, line)
			}
		}
	}
}

// clear ends what a scenario leaves, also one that was given up.
func (r *run) clear() {
	if r.load != nil {
		r.load.stopOnce.Do(func() { close(r.load.stopping) })
	}
	for _, p := range r.replicas {
		if p.gone != nil {
			_ = p.signal(syscall.SIGKILL)
		}
	}
	for _, reader := range r.readers {
		reader.cancel()
	}
	for _, p := range r.replicas {
		if p.proxy != nil {
			p.proxy.close()
		}
	}
	db := r.cluster.admin
	_, _ = db.ExecContext(context.WithoutCancel(r.ctx), `DROP DATABASE IF EXISTS `+r.database+` WITH (FORCE)`) // the cluster goes soon
}

// scenarios are all there are, in the order in which they run.
func scenarios() []scenario {
	return slices.Concat(appFaults(), postgresFaults(), networkFaults(), viewFaults(), streamFaults(), operationFaults(), longFaults())
}
