package listener

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// Why it matters: a read that times out in the middle of a message must not
// lose the half that came, or every later byte is taken for something else.
func TestAMessageThatArrivesInTwoHalvesSurvivesTheHeartbeat(t *testing.T) {
	t.Parallel()
	for name, pair := range map[string]func(*testing.T) (server, client net.Conn){
		"plain": plainPair, "TLS": tlsPair,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := pair(t)
			receiveInHalves(t, server, client)
		})
	}
}

func receiveInHalves(t *testing.T, server, client net.Conn) {
	t.Helper()
	c := newConn(client, 50*time.Millisecond)
	want := packet(kindNotification, "\x00\x00\x00\x07events:created\x00hello\x00")
	done := background(func() {
		send(t, server, want[:3]) // then silence, until the client asks
		ping, err := bufio.NewReader(server).ReadString(';')
		if err != nil || !strings.HasPrefix(ping, "Q") {
			t.Errorf("ping %q: %v", ping, err)
		}
		send(t, server, want[3:])
	})
	m, err := c.receive()
	if err != nil {
		t.Fatal(err)
	}
	channel, payload, err := m.notification()
	if err != nil || channel != EventsCreated || payload != "hello" {
		t.Errorf("%q %q %v", channel, payload, err)
	}
	hangUp(client)
	hangUp(server)
	done()
}

// hangUp closes a connection without TLS's farewell, which nobody would read.
func hangUp(c net.Conn) {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	_ = c.Close()
}

func plainPair(*testing.T) (server, client net.Conn) { return net.Pipe() }

// tlsPair is a pair that has shaken hands. TLS keeps state of its own when a
// read times out.
func tlsPair(t *testing.T) (server, client net.Conn) {
	t.Helper()
	plainServer, plainClient := plainPair(t)
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	tlsServer := tls.Server(plainServer, &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12})
	tlsClient := tls.Client(plainClient, &tls.Config{InsecureSkipVerify: true})
	shaken := background(func() {
		if err := tlsServer.HandshakeContext(t.Context()); err != nil {
			t.Errorf("handshake: %v", err)
		}
	})
	if err := tlsClient.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	shaken()
	return tlsServer, tlsClient
}

func TestASilentServerIsGivenUp(t *testing.T) {
	t.Parallel()
	server, client := net.Pipe()
	done := background(func() {
		hear(t, server) // and never answer
	})
	_, err := newConn(client, 20*time.Millisecond).receive()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	_ = client.Close()
	_ = server.Close()
	done()
}

func TestAServerThatRefusesListenIsDeafButOneThatEndsIsNot(t *testing.T) {
	t.Parallel()
	refusal := packet(kindError, "SERROR\x00C25006\x00Mcannot execute LISTEN during recovery\x00\x00")
	for name, c := range map[string]struct {
		answer []byte
		deaf   bool
	}{
		"goes on": {append(refusal, packet(kindReady, "I")...), true},
		"ends":    {refusal, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := net.Pipe()
			done := background(func() {
				hear(t, server)
				send(t, server, c.answer)
				if !c.deaf {
					_ = server.Close()
				}
			})
			err := newConn(client, time.Second).listen([]string{EventsCreated})
			if errors.Is(err, errDeaf) != c.deaf || err == nil || !strings.Contains(err.Error(), "during recovery") {
				t.Errorf("error %v", err)
			}
			done()
			_ = client.Close()
			_ = server.Close()
		})
	}
}

func TestANotificationThatIsNotTheProbeProvesNothing(t *testing.T) {
	t.Parallel()
	server, client := net.Pipe()
	done := background(func() {
		send(t, server, packet(kindNotification, "\x00\x00\x00\x07events:created\x00hello\x00"))
		hear(t, server) // the sign of life asked for
		send(t, server, packet(kindReady, "I"))
	})
	l := prepare(t, nowhere, Options{})
	if err := l.follow(t.Context(), newConn(client, 50*time.Millisecond), "onepg:probe:1"); !errors.Is(err, errDeaf) {
		t.Errorf("error %v", err)
	}
	_ = client.Close()
	_ = server.Close()
	done()
}

func TestAnErrorMessageKeepsItsTextAndCode(t *testing.T) {
	t.Parallel()
	m := message{kind: kindError, body: []byte("SFATAL\x00C57P01\x00Mterminating connection\x00\x00")}
	if got := m.failure().Error(); got != "server: terminating connection (SQLSTATE 57P01)" {
		t.Error(got)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add(packet(kindNotification, "\x00\x00\x00\x07events:created\x00hello\x00"))
	f.Add(packet(kindNotification, "\x00\x00"))
	f.Add(packet(kindNotification, "\x00\x00\x00\x07no end"))
	f.Add(packet(kindError, "SERROR\x00C0A000\x00Mno\x00\x00"))
	f.Add(packet(kindReady, "I"))
	f.Add([]byte{'A', 0, 0, 0, 3})
	f.Add([]byte{'A', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		c := newConn(recording{bytes.NewReader(stream)}, time.Minute)
		for {
			m, err := c.receive()
			if err != nil {
				return
			}
			if len(m.body) > len(stream) {
				t.Errorf("%d bytes made of %d", len(m.body), len(stream))
			}
			if channel, payload, err := m.notification(); err == nil && strings.ContainsRune(channel+payload, 0) {
				t.Errorf("NUL in %q %q", channel, payload)
			}
			if m.failure() == nil {
				t.Error("a failure that is none")
			}
		}
	})
}

// hear reads one statement of the client.
func hear(t *testing.T, from net.Conn) {
	t.Helper()
	if _, err := from.Read(make([]byte, 256)); err != nil {
		t.Errorf("heard nothing: %v", err)
	}
}

func send(t *testing.T, to net.Conn, b []byte) {
	t.Helper()
	if _, err := to.Write(b); err != nil {
		t.Errorf("send: %v", err)
	}
}

// packet frames a server message.
func packet(kind byte, body string) []byte {
	frame := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(frame, body...)
}

// recording is a connection that plays a stream and has no deadlines.
type recording struct{ *bytes.Reader }

func (recording) Write(b []byte) (int, error)      { return len(b), nil }
func (recording) Close() error                     { return nil }
func (recording) LocalAddr() net.Addr              { return nil }
func (recording) RemoteAddr() net.Addr             { return nil }
func (recording) SetDeadline(time.Time) error      { return nil }
func (recording) SetReadDeadline(time.Time) error  { return nil }
func (recording) SetWriteDeadline(time.Time) error { return nil }
