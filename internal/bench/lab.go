package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"onepg/internal/app"
	"onepg/internal/config"
	"onepg/internal/fault"
	"onepg/internal/pause"
	"onepg/internal/postgres"
)

// stopTimeout is how long a worker gets to finish when the run ends.
const stopTimeout = 30 * time.Second

// lab is where a run takes place: a PostgreSQL.
type lab struct {
	options    Options
	machine    Machine
	url        string // of a database on the server; the run's own are beside it
	admin      *bun.DB
	postmaster int // 0 when the server's processes cannot be seen
	closing    closers
}

// closers are what to give back, the last taken first.
type closers struct{ list []func() error }

func (c *closers) onClose(f func() error) { c.list = append(c.list, f) }

func (c *closers) close() error {
	var errs []error
	for _, f := range slices.Backward(c.list) {
		errs = append(errs, f())
	}
	c.list = nil
	return errors.Join(errs...)
}

// openLab starts what every suite needs.
func openLab(ctx context.Context, o Options) (_ *lab, err error) {
	l := &lab{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.closing.close())
		}
	}()
	if err := l.openServer(ctx); err != nil {
		return l, err
	}
	if l.admin, err = l.connect(ctx, l.url); err != nil {
		return l, err
	}
	l.closing.onClose(l.admin.Close)
	if l.machine, err = describe(ctx, l.admin); err != nil {
		return l, err
	}
	if !o.Server {
		l.postmaster, err = findPostmaster(ctx, l.admin)
	}
	return l, err
}

// openServer starts the embedded PostgreSQL in a directory of the run's own, or
// takes the configured server where the user says so.
func (l *lab) openServer(ctx context.Context) error {
	configuration := *l.options.Config
	if l.options.Server {
		l.url = configuration.Database.URL.Reveal()
		if l.url == "" {
			return fault.New(fault.Invalid, "benchmark-no-server", "There is no APP_DATABASE_URL to run the benchmark on.")
		}
		return nil
	}
	dir := l.options.Dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp(".", ".bench-"); err != nil {
			return fmt.Errorf("make a directory for the benchmark's PostgreSQL: %w", err)
		}
		l.closing.onClose(func() error { return remove(dir) })
	}
	configuration.Database.URL = config.URL{}
	configuration.Database.DataDir = dir
	server, err := app.OpenDatabase(ctx, &configuration, l.options.Logger, l.options.Watcher)
	if err != nil {
		return err
	}
	l.closing.onClose(server.Close)
	l.url = server.URL
	return nil
}

// remove deletes the temporary directory. Why it tries again: the embedded
// server's watcher looks into it once a second and may make a lock file there
// while the others go.
func remove(dir string) (err error) {
	const tries, interval = 30, 100 * time.Millisecond
	for range tries {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		pause.For(context.Background(), interval)
	}
	return fmt.Errorf("remove the benchmark's directory: %w", err)
}

// connect opens a database for the run's own questions, which may take long.
func (l *lab) connect(ctx context.Context, address string) (*bun.DB, error) {
	return postgres.Open(ctx, postgres.Options{
		URL: address, AppName: "onepg bench", StatementTimeout: postgres.NoTimeout, IdleInTxTimeout: postgres.NoTimeout,
	})
}

// stage is what one suite uses; it is cleared when the suite is done.
type stage struct {
	*lab
	closers

	loader   *worker // the process that sends load
	programs []*server
	series   int // see nextSeries
}

func (l *lab) openStage(ctx context.Context) (*stage, error) {
	loader, err := startWorker(ctx, l.options.Worker, roleLoad, nil)
	if err != nil {
		return nil, err
	}
	s := &stage{lab: l, loader: loader}
	s.onClose(loader.stop)
	return s, nil
}

// database is one made for a suite.
type database struct {
	*bun.DB
	url string
}

// newDatabase makes an empty database that is dropped with the stage.
func (s *stage) newDatabase(ctx context.Context, name string) (*database, error) {
	name = "onepg_bench_" + name
	address, err := url.Parse(s.url)
	if err != nil {
		return nil, fmt.Errorf("find the server's other databases: %w", err)
	}
	address.Path = "/" + name
	// Why FORCE: what an interrupted run left behind may still be in use.
	if _, err := s.admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
		return nil, fmt.Errorf("drop the database %s: %w", name, err)
	}
	if _, err := s.admin.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, fmt.Errorf("make the database %s: %w", name, err)
	}
	s.onClose(func() error {
		if _, err := s.admin.ExecContext(context.WithoutCancel(ctx), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			return fmt.Errorf("drop the database %s: %w", name, err)
		}
		return nil
	})
	db, err := s.connect(ctx, address.String())
	if err != nil {
		return nil, err
	}
	s.onClose(db.Close)
	return &database{DB: db, url: address.String()}, nil
}

// server is a worker that answers requests.
type server struct {
	*worker
	address string // host:port
	db      *database
}

// serve starts a worker in the role on the database, with the settings that
// this process has.
func (s *stage) serve(ctx context.Context, role string, db *database) (*server, error) {
	var env []string
	for _, setting := range s.options.Config.Settings() {
		env = append(env, setting.Key+"="+setting.Value)
	}
	env = append(env, "APP_ADDR=127.0.0.1:0", "APP_OPS_ADDR=", "APP_AUTH=none", "APP_DATABASE_URL="+db.url, "APP_LISTEN_URL=", "APP_LOG_LEVEL=warn")
	w, err := startWorker(ctx, s.options.Worker, role, env)
	if err != nil {
		return nil, err
	}
	var at ready
	if err := w.receive(&at); err != nil {
		return nil, err
	}
	s.onClose(w.stop)
	address, err := url.Parse(at.URL)
	if err != nil {
		return nil, fmt.Errorf("read a server's address: %w", err)
	}
	return &server{worker: w, address: address.Host, db: db}, nil
}

// program starts the whole program on a database of its own.
func (s *stage) program(ctx context.Context, name string) (*server, error) {
	db, err := s.newDatabase(ctx, name)
	if err != nil {
		return nil, err
	}
	p, err := s.serve(ctx, roleServe, db)
	if err != nil {
		return nil, err
	}
	s.programs = append(s.programs, p)
	return p, nil
}

// send runs the loads together against the server and gives their results.
func (s *stage) send(to *server, loads ...load) ([]loadResult, *cores, error) {
	for i := range loads {
		loads[i].Address = to.address
		if !loads[0].Stream { // those who follow need events all the time
			loads[i].Count = cmp.Or(loads[i].Count, s.options.each*loads[i].Connections)
		}
		loads[i].Duration = cmp.Or(loads[i].Duration, s.options.Duration)
		if loads[i].Count == 0 {
			loads[i].Warmup = loads[i].Duration / 5
		}
	}
	busy := s.watchCores(to.pid(), s.loader.pid())
	if err := s.loader.orders.Encode(loads); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("order a load: %w", err), s.loader.stop())
	}
	var results []loadResult
	if err := s.loader.receive(&results); err != nil {
		return nil, nil, err
	}
	for _, r := range results {
		if r.Requests == 0 {
			return nil, nil, errors.New("no request was answered in the measured time")
		}
	}
	return results, busy(), nil
}

// watchCores gives a function that says how busy the parts were since then, or
// nil where the system does not tell.
func (s *stage) watchCores(server, client int) func() *cores {
	start, before := now(), s.times(server, client)
	return func() *cores {
		elapsed, after := now().Sub(start).Seconds(), s.times(server, client)
		if before == nil || after == nil {
			return nil
		}
		return &cores{
			App:        (after[0] - before[0]).Seconds() / elapsed,
			PostgreSQL: (after[1] - before[1]).Seconds() / elapsed,
			Client:     (after[2] - before[2]).Seconds() / elapsed,
		}
	}
}

// times gives the processor times of the server, PostgreSQL and the client, or
// nil where one of them cannot be read. A process 0 is none.
func (s *stage) times(server, client int) []time.Duration {
	if s.postmaster == 0 {
		return nil
	}
	times := make([]time.Duration, 0, 3)
	for _, pid := range []int{server, s.postmaster, client} {
		var total time.Duration
		var err error
		if pid != 0 {
			total, err = familyTime(pid)
		}
		if err != nil {
			return nil
		}
		times = append(times, total)
	}
	return times
}
