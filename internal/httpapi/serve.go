package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
)

// Serve answers requests from ln until ctx ends, then shuts down in order:
// /readyz turns 503 and waits and streams are told ([Draining]), no connection
// is accepted any more, requests in flight finish. What is left after the
// shutdown timeout is cut and reported as an error. Serve owns ln and can be
// called once.
func (a *API) Serve(ctx context.Context, ln net.Listener) error {
	if err := a.Err(); err != nil {
		return errors.Join(err, ln.Close())
	}
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	srv := a.server(requests)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(translating{ln}) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	a.drain()
	grace, cancel := context.WithTimeout(requests, a.opts.Limits.ShutdownTimeout)
	defer cancel()
	err := srv.Shutdown(grace)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut after %s: %w", a.opts.Limits.ShutdownTimeout, err), srv.Close())
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

func (a *API) server(requests context.Context) *http.Server {
	limits := a.opts.Limits
	return &http.Server{
		Handler:           a.engine,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext:       withConn,
		ReadHeaderTimeout: limits.HeaderTimeout,
		// Why: a client that stops reading must not hold an answer for ever. What
		// the other limits allow a request at most, and as long as the longest
		// wait for the answer to be read.
		WriteTimeout:   limits.BodyTimeout + limits.AnswerTimeout + 2*longestWait,
		IdleTimeout:    limits.IdleTimeout,
		MaxHeaderBytes: 4 * limits.HeaderBytes, // see limitHeaders
		ErrorLog:       slog.NewLogLogger(a.opts.Logger.Handler(), slog.LevelDebug),
	}
}
