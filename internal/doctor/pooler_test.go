package doctor

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"onepg/internal/postgres/pgtest"
)

// transactionPooler is what PgBouncer does in transaction mode, with a single
// server connection: every statement of every client goes over that one.
type transactionPooler struct {
	t      *testing.T
	mu     sync.Mutex // held while a statement is answered
	server net.Conn
}

// newPooler gives the address of a pooler before the database.
func newPooler(t *testing.T, address string) string {
	t.Helper()
	behind, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server, err := (&net.Dialer{}).DialContext(t.Context(), "unix", behind.Query().Get("host"))
	if err != nil {
		t.Fatal(err)
	}
	startup := []byte("\x00\x03\x00\x00user\x00" + behind.User.Username() + "\x00database\x00" + behind.Path[1:] + "\x00\x00")
	if _, err := server.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(startup)+4)), startup...)); err != nil {
		t.Fatal(err)
	}
	p := &transactionPooler{t: t, server: server}
	if err := p.answer(io.Discard); err != nil {
		t.Fatal(err)
	}
	front, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	clients.Go(func() {
		for {
			client, err := front.Accept()
			if err != nil {
				return
			}
			clients.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() { _ = front.Close(); clients.Wait(); _ = server.Close() })
	return "postgres://postgres@" + front.Addr().String() + behind.Path + "?sslmode=disable"
}

// serve lets any client in and passes its statements on, one at a time.
func (p *transactionPooler) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	if _, err := message(client, nil); err != nil {
		return
	}
	welcome := []byte("R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I")
	if _, err := client.Write(welcome); err != nil {
		return
	}
	for {
		kind := make([]byte, 1)
		if _, err := io.ReadFull(client, kind); err != nil || kind[0] != 'Q' {
			return
		}
		statement, err := message(client, kind)
		if err != nil || p.pass(statement, client) != nil {
			return
		}
	}
}

func (p *transactionPooler) pass(statement []byte, client io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.server.Write(statement); err != nil {
		return err
	}
	return p.answer(client)
}

// answer passes on what the server says until it is ready for more.
func (p *transactionPooler) answer(to io.Writer) error {
	for {
		kind := make([]byte, 1)
		if _, err := io.ReadFull(p.server, kind); err != nil {
			return err
		}
		m, err := message(p.server, kind)
		if err != nil {
			return err
		}
		if _, err := to.Write(m); err != nil {
			return err
		}
		if kind[0] == 'Z' {
			return nil
		}
	}
}

// message reads a length and what it counts, and gives it with the kind before.
func message(from io.Reader, kind []byte) ([]byte, error) {
	size := make([]byte, 4)
	if _, err := io.ReadFull(from, size); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size)-4)
	if _, err := io.ReadFull(from, body); err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{kind, size, body}, nil), nil
}

// Listening through a pooler would leave the subscription with a connection
// that others use, and break their answers: nobody must try, the doctor least.
func TestBehindAPoolerNothingIsListenedTo(t *testing.T) {
	t.Parallel()
	address := pgtest.New(t)
	pooled := newPooler(t, address)
	found := examined(t, pooled, pooled)
	want(t, found["pooler"], Warning, "transaction mode", "APP_LISTEN_URL")
	want(t, found["listen"], Warning, "not tried", "APP_LISTEN_URL")
	var channels []string
	if err := open(t, pooled).NewRaw("SELECT pg_listening_channels()").Scan(t.Context(), &channels); err != nil {
		t.Fatal(err)
	}
	if len(channels) != 0 {
		t.Errorf("the pooler's connection listens to %q", channels)
	}
	found = examined(t, pooled, address)
	want(t, found["pooler"], OK, "another address")
	want(t, found["listen"], OK, "arrived")
}
