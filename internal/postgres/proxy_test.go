package postgres_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onepg/internal/postgres"
)

// proxy stands between a pool and the server, as PgBouncer or a bad network
// does.
type proxy struct {
	network, addr string // of the server
	listener      net.Listener
	// tls is what it offers to clients; nil leaves the answer to the server,
	// which has no TLS on its Unix socket.
	tls *tls.Config
	// cutAfter closes the connection as soon as these bytes were passed on and
	// the server began to answer them.
	cutAfter []byte

	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

// newProxy starts p in front of the database and returns the URL through it.
func newProxy(t *testing.T, databaseURL string, p *proxy) string {
	t.Helper()
	conf, _, err := postgres.Parsed(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	p.network, p.addr = conf.Network, conf.Addr
	if p.listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.wg.Go(func() { p.accept(t.Context()) })
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			_ = conn.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	through := url.URL{
		Scheme: "postgres", User: url.UserPassword(conf.User, conf.Password),
		Host: p.listener.Addr().String(), Path: "/" + conf.Database,
	}
	return through.String()
}

func (p *proxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.keep(client)
		p.wg.Go(func() { p.serve(ctx, client) })
	}
}

func (p *proxy) keep(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conn)
}

func (p *proxy) serve(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := new(net.Dialer).DialContext(ctx, p.network, p.addr)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	p.keep(server)
	if p.tls != nil {
		if _, err := io.ReadFull(client, make([]byte, 8)); err != nil {
			return
		}
		if _, err := client.Write([]byte("S")); err != nil {
			return
		}
		client = tls.Server(client, p.tls)
	}
	var cut atomic.Bool
	p.wg.Go(func() {
		defer func() { _ = client.Close() }()
		pass(server, client, func([]byte) bool { return !cut.Load() })
	})
	pass(client, server, func(sent []byte) bool {
		if p.cutAfter != nil && bytes.Contains(sent, p.cutAfter) {
			cut.Store(true)
		}
		return true
	})
}

// pass copies until an end closes or goOn says no.
func pass(from io.Reader, to io.Writer, goOn func([]byte) bool) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if !goOn(buf[:n]) {
			return
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// selfSigned is a certificate for TLS that nobody verifies.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13}
}
