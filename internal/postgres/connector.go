package postgres

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun/driver/pgdriver"
)

// connector opens connections through pgdriver and puts right what it leaves
// open: the socket of a handshake that failed, TLS that is optional, and one
// round trip per session setting.
type connector struct {
	inner    *pgdriver.Connector
	end      *endpoint
	settings map[string]string
}

func newConnector(end *endpoint, o Options) *connector {
	conf := *end.conf
	if conf.AppName == "" {
		conf.AppName = o.AppName
	}
	conf.ReadTimeout = o.readTimeout()
	conf.EnableTracing = false
	conf.ResetSessionFunc = func(_ context.Context, conn *pgdriver.Conn) error {
		if !alive(conn.Conn()) {
			return driver.ErrBadConn
		}
		return nil
	}
	conf.Dialer = end.dial
	return &connector{
		inner:    pgdriver.NewConnector(pgdriver.WithConfig(&conf)),
		end:      end,
		settings: o.settings(end.settings),
	}
}

// Connect opens a connection and tells the session its settings. Whatever goes
// wrong, no statement of a caller was sent.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	var socket net.Conn
	opened, err := c.inner.Connect(context.WithValue(ctx, socketKey{}, &socket))
	if err == nil {
		err = applySettings(ctx, opened, c.settings)
	}
	if err != nil {
		// Why: pgdriver forgets the socket when the handshake fails. Without
		// this a server that refuses connections exhausts our descriptors.
		if socket != nil {
			_ = socket.Close() // it is being thrown away
		}
		return nil, &undoneError{fmt.Errorf("connect to %s: %w", c.end, err)}
	}
	inner, ok := opened.(*pgdriver.Conn)
	if !ok {
		return nil, fmt.Errorf("pgdriver opened a %T", opened)
	}
	return &conn{Conn: inner}, nil
}

// Driver is pgdriver's own, because pgdriver's listener looks for it. What the
// listener opens has no session settings, which suits a connection that waits.
func (c *connector) Driver() driver.Driver { return c.inner.Driver() }

// applySettings sets all settings in one round trip. Why: pgdriver's own way
// costs one for each, 5 ms more for every connection at 1 ms of latency.
func applySettings(ctx context.Context, conn driver.Conn, settings map[string]string) error {
	if len(settings) == 0 {
		return nil
	}
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return fmt.Errorf("connection of type %T runs no statements", conn)
	}
	var calls []string
	var args []driver.NamedValue
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		n := len(args)
		calls = append(calls, fmt.Sprintf("set_config($%d, $%d, false)", n+1, n+2))
		args = append(args,
			driver.NamedValue{Ordinal: n + 1, Value: name},
			driver.NamedValue{Ordinal: n + 2, Value: settings[name]})
	}
	if _, err := execer.ExecContext(ctx, "SELECT "+strings.Join(calls, ", "), args); err != nil {
		return fmt.Errorf("apply session settings: %w", err)
	}
	return nil
}

// socketKey carries, in Connect's context, where dial notes the socket.
type socketKey struct{}

// dial opens the socket and, where the URL wants it, TLS.
func (e *endpoint) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, e.conf.DialTimeout)
	defer cancel()
	dialer := net.Dialer{
		// Why: a peer that vanished without a word is noticed in 30 s.
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
		},
	}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err //nolint:wrapcheck // Connect names the endpoint
	}
	if socket, ok := ctx.Value(socketKey{}).(*net.Conn); ok {
		*socket = conn
	}
	if e.tls == nil {
		return conn, nil
	}
	secured, err := e.secure(ctx, conn)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secured, nil
}

// secure asks the server for TLS and shakes hands. A server without TLS is
// spoken to in plain text if the URL's sslmode allows it.
// See "SSL Session Encryption" in the PostgreSQL protocol documentation.
func (e *endpoint) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, fmt.Errorf("limit the TLS handshake: %w", err)
	}
	sslRequest := []byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}
	if _, err := conn.Write(sslRequest); err != nil {
		return nil, fmt.Errorf("ask for TLS: %w", err)
	}
	// Why one byte: anything more the peer sent ahead of the handshake would be
	// read as if it had come encrypted.
	answer := make([]byte, 1)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, fmt.Errorf("ask for TLS: %w", err)
	}
	secured := conn
	switch {
	case answer[0] == 'S':
		client := tls.Client(conn, e.tls)
		if err := client.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		secured = client
	case !e.tlsOptional:
		return nil, errors.New("the server offers no TLS and the URL's sslmode demands it")
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("end the limit of the TLS handshake: %w", err)
	}
	return secured, nil
}
