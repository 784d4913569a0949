package embedded

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

const (
	// leaveTimeout bounds a Close: others' starts, then our own stop.
	leaveTimeout = 90 * time.Second
	// watchInterval is how long a server may run unused, or stay away, unnoticed.
	watchInterval = 200 * time.Millisecond
)

// Options say which cluster to use and how to run it.
type Options struct {
	// DataDir is made if it does not exist. It holds everything of the cluster.
	DataDir string
	// BinDir is where postgres and initdb are; empty searches (see [FindBinaries]).
	BinDir string
	// Settings are added to the server's settings, over our defaults. They
	// matter only to the process that launches the server.
	Settings map[string]string
	// Logger hears of starts and stops; nil is silent.
	Logger *slog.Logger
	// Watcher is a command that calls [Watch] with its last argument, which is
	// appended here. It stops the server after the last user has died by
	// kill -9. Empty: the server then runs on until somebody joins and leaves.
	Watcher []string
}

// A Server is the use of a cluster. The server itself may be shared with other
// processes and outlives those that do not leave last.
type Server struct {
	options Options
	socket  string
	users   *fileLock

	// mu lets a Close and the last round of a Supervise follow each other.
	mu      sync.Mutex
	cluster *cluster
	closed  bool
}

// Start gives a running server: it launches the data directory's, or joins it,
// and makes the directory, the cluster and the database onepg where they are
// missing. It waits for others that start or stop the same one. Cancelling ctx
// gives up; it does not stop a server later.
func Start(ctx context.Context, options Options) (*Server, error) {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := open(options)
	if err != nil {
		return nil, err
	}
	gate, err := acquire(ctx, c.path(startLock), syscall.LOCK_EX)
	if err != nil {
		return nil, denied(c.dir, err)
	}
	defer gate.release()
	users, err := acquire(ctx, c.path(usersLock), syscall.LOCK_SH)
	if err != nil {
		return nil, denied(c.dir, err)
	}
	s := &Server{options: options, users: users, cluster: c}
	if s.socket, err = s.bringUp(ctx); err != nil {
		_, stopErr := c.stopUnused(context.WithoutCancel(ctx), users)
		return nil, errors.Join(err, stopErr)
	}
	return s, nil
}

// bringUp makes the server, its database and its watcher be there, and gives
// the server's socket. It needs start.lock.
func (s *Server) bringUp(ctx context.Context) (string, error) {
	server, err := s.cluster.up(ctx)
	if err != nil {
		return "", err
	}
	if err = server.createDatabase(ctx); err != nil {
		return "", err
	}
	s.options.Logger.InfoContext(ctx, "PostgreSQL is running",
		slog.String("data_dir", s.cluster.dir), slog.String("socket", server.socket),
		slog.Bool("joined", s.cluster.child == nil))
	if len(s.options.Watcher) == 0 {
		return server.socket, nil
	}
	return server.socket, s.cluster.startWatcher(ctx, s.options.Watcher)
}

// URL gives the address of the database onepg, as superuser, over the Unix
// socket. It is for pgdriver: its host parameter is the socket, where libpq
// wants the socket's directory. It stays valid when the server is restarted.
func (s *Server) URL() string { return address{socket: s.socket}.url(database) }

// Close leaves the server, and stops it if nobody else uses it; it returns when
// the server is gone. Further calls do nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	gate, err := acquire(ctx, s.cluster.path(startLock), syscall.LOCK_EX)
	if err != nil {
		s.users.release()
		return err
	}
	stopped, err := s.cluster.stopUnused(ctx, s.users)
	gate.release()
	if stopped {
		err = errors.Join(err, s.cluster.awaitWatcher(ctx))
		s.options.Logger.InfoContext(ctx, "PostgreSQL was stopped", slog.String("data_dir", s.cluster.dir))
	}
	return err
}

// stopUnused gives up mine, which may be nil, and stops the server unless
// somebody else uses it. It needs start.lock.
func (c *cluster) stopUnused(ctx context.Context, mine *fileLock) (stopped bool, err error) {
	if mine != nil {
		mine.release()
	}
	alone, err := tryLock(c.path(usersLock), syscall.LOCK_EX)
	if errors.Is(err, errBusy) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer alone.release()
	return true, c.down(ctx)
}

// Supervise brings the server back when it is gone although it is in use, such
// as after a crash of the postmaster that it does not mend itself; the URL stays
// the same. It blocks until ctx ends, with ctx's error. A server that cannot be
// brought back is logged and tried again.
func (s *Server) Supervise(ctx context.Context) error {
	return poll(ctx, watchInterval, func() (bool, error) {
		if running, err := s.cluster.running(); running || err != nil {
			return false, nil //nolint:nilerr // A lock that cannot be read now is read in a second.
		}
		if err := s.revive(ctx); err != nil && ctx.Err() == nil {
			s.options.Logger.ErrorContext(ctx, "PostgreSQL is gone and cannot be started", slog.Any("error", err))
		}
		return false, nil
	})
}

func (s *Server) revive(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	gate, err := acquire(ctx, s.cluster.path(startLock), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer gate.release()
	s.options.Logger.WarnContext(ctx, "PostgreSQL is gone, starting it again", slog.String("data_dir", s.cluster.dir))
	_, err = s.bringUp(ctx)
	return err
}
