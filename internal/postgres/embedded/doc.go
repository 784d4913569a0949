// Package embedded runs a private PostgreSQL cluster from installed binaries,
// so that the program needs no configured database to start. [Start] starts
// the cluster of a data directory or joins it where another process has done
// so; the last process to leave stops it.
//
//	<data directory>
//	  start.lock     exclusive: who starts, initialises or stops, one at a time
//	  users.lock     shared: every process that uses the cluster
//	  server.lock    exclusive: inherited by initdb, the postmaster and every backend
//	  watch.lock     exclusive: the one watcher (see [Watch])
//	  pgdata/        the cluster, 0700
//	  pgdata.init-*  an initdb that has not finished
//	  run/           the Unix socket, 0700
//	  postgres.log   what initdb and the server print
//
// All questions about who is alive are answered by flock(2), never by process
// ids: the kernel drops a lock with the last process that has it, also after
// kill -9 and power loss, and it works between containers that share a volume
// and cannot see each other's processes.
//
//   - Who uses the cluster? Whoever has users.lock. Leaving means giving it up
//     and stopping the server if an exclusive lock can then be had. Joining and
//     leaving happen under start.lock, so nobody joins a server that is about
//     to stop.
//   - Does the server run? The lock on server.lock was taken by the process
//     that launched it and is inherited through fork, so it is free exactly when
//     the postmaster and its last backend are gone. That is why a postmaster.pid
//     left by kill -9 or a reboot can be told from a real one although its
//     number belongs to another process by now, and why a new postmaster never
//     meets the orphaned backends of the one before.
//
// A process that dies by kill -9 cannot stop the server. It must not take it
// along either (no Pdeathsig), because others may have joined. [Options.Watcher]
// names a small process for this that outlives it and stops the server when
// nobody is left. The watcher looks once a second instead of waiting in a
// blocking flock: that cannot be cancelled, and its moment of success would make
// a leaving process believe that somebody else still uses the cluster. Without a
// watcher the server runs on and the next [Start] joins it.
//
// Guarantees: an existing data directory is never deleted or initialised over;
// initdb's result appears by rename, whole or not at all; the server is durable
// (fsync, full_page_writes and synchronous_commit are on unless a test asks
// otherwise), has data checksums and listens on no TCP port. Anybody who reaches
// the socket is let in as superuser: the directory around it is the access
// control, which lets root use a server that runs as postgres.
//
// PostgreSQL refuses to run as root. For root the server runs as the owner of
// the existing cluster, else as postgres, else as nobody. Where that user cannot
// reach the data directory because a parent belongs to root alone, the server
// keeps one capability, CAP_DAC_OVERRIDE (Linux only).
//
// Failures are of type fault.Error and say what to do next. Not handled: major
// version upgrades (refused with an explanation), Windows, and network file
// systems without working locks.
package embedded
