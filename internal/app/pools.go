package app

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/uptrace/bun"

	"onepg/internal/config"
	"onepg/internal/postgres"
)

// pools are small and separate, so that a flood of reads cannot keep an append
// or a view waiting for a connection.
type pools struct {
	reader  *bun.DB // the API's queries
	writer  *bun.DB // append_events and nothing else
	views   *bun.DB // one connection for each view
	rebuild *bun.DB // one connection, on which a statement may take its time
	listen  *bun.DB // straight to the server: one connection listens, one proves it
}

// writerConns is one for the log's flusher, and one more so that a batch is
// repeated on a fresh connection when the old one hangs.
const writerConns = 2

// listenConns: see listener.Options.
const listenConns = 2

func openPools(ctx context.Context, c *config.Config, d *Database) (pools, error) {
	options := func(name, url string, size int) postgres.Options {
		return postgres.Options{
			URL: url, AppName: "onepg " + name, MaxConns: size,
			StatementTimeout: c.Database.StatementTimeout, LockTimeout: c.Database.LockTimeout,
			IdleInTxTimeout: c.Database.IdleInTransactionTimeout,
		}
	}
	var p pools
	var err error
	reader := options("api", d.URL, c.Database.PoolSize)
	reader.PoolWait = c.Database.PoolWait
	if p.reader, err = postgres.Open(ctx, reader); err != nil {
		return p, err
	}
	if p.writer, err = postgres.Open(ctx, options("append", d.URL, writerConns)); err != nil {
		return p, err
	}
	if p.views, err = postgres.Open(ctx, options("views", d.URL, 1)); err != nil {
		return p, err
	}
	if p.rebuild, err = postgres.Open(ctx, d.forRebuilds()); err != nil {
		return p, err
	}
	p.listen, err = postgres.Open(ctx, options("listen", d.ListenURL, listenConns))
	return p, err
}

// fit gives each view its connection.
func (p pools) fit(views int) {
	p.views.SetMaxOpenConns(max(views, 1))
	p.views.SetMaxIdleConns(max(views, 1))
}

func (p pools) measure(metrics prometheus.Registerer) {
	metrics.MustRegister(
		collectors.NewDBStatsCollector(p.reader.DB, "api"),
		collectors.NewDBStatsCollector(p.writer.DB, "append"),
		collectors.NewDBStatsCollector(p.views.DB, "views"),
		collectors.NewDBStatsCollector(p.rebuild.DB, "rebuild"),
	)
}

func (p pools) close() error {
	var errs []error
	for _, db := range []*bun.DB{p.reader, p.writer, p.views, p.rebuild, p.listen} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}
