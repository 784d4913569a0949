//go:build fault

package chaos

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A proxy is the network between the program and PostgreSQL. It speaks enough
// of the protocol to know where a message begins, so that it can stop the world
// at a given statement.
//
// Why not toxiproxy: it knows no Unix sockets, which is all our server has, and
// no statements.
type proxy struct {
	server string // the Unix socket
	front  net.Listener
	wg     sync.WaitGroup

	change *sync.Cond // guards what follows
	links  map[*link]struct{}
	closed bool
	frozen bool                                    // no byte passes, and no end of a connection either
	refuse bool                                    // new connections are closed at once
	delay  func() time.Duration                    // on each way, in order; nil for none
	trap   func(l *link, statement string) verdict // asked before each statement; nil for none
}

// A verdict is what happens to a statement.
type verdict int

const (
	pass verdict = iota
	// holdBefore keeps the statement and all that comes on that connection.
	holdBefore
	// holdAfter lets the statement through and keeps its answer.
	holdAfter
	// cutAfter lets the statement through and closes the connection when the
	// server begins to answer, which it does after it committed.
	cutAfter
)

// A link is one connection.
type link struct {
	client, server net.Conn
	app            string // as the client calls itself
	held           bool   // the client's statements are kept; belongs to questions
	mute           bool   // the server's answers are kept; change guards this and the next
	doomed         bool   // the next answer ends it
}

func newProxy(socket string) (*proxy, error) {
	front, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{server: socket, front: front, change: sync.NewCond(new(sync.Mutex)), links: map[*link]struct{}{}}
	p.wg.Go(p.accept)
	return p, nil
}

// url names a database through the proxy.
func (p *proxy) url(database string) string {
	return "postgres://postgres:-@" + p.front.Addr().String() + "/" + database + "?sslmode=disable"
}

func (p *proxy) close() {
	_ = p.front.Close()
	p.set(func() { p.closed = true })
	p.cut()
	p.wg.Wait()
}

// set makes a change that every connection notices.
func (p *proxy) set(change func()) {
	p.change.L.Lock()
	defer p.change.L.Unlock()
	change()
	p.change.Broadcast()
}

// heal ends every fault but those of single connections.
func (p *proxy) heal() {
	p.set(func() { p.frozen, p.refuse, p.delay, p.trap = false, false, nil, nil })
}

// cut closes every connection there is.
func (p *proxy) cut() {
	p.set(func() {
		for l := range p.links {
			_, _ = l.client.Close(), l.server.Close()
		}
	})
}

func (p *proxy) accept() {
	for {
		client, err := p.front.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	p.change.L.Lock()
	refuse := p.refuse || p.closed
	p.change.L.Unlock()
	if refuse {
		return
	}
	server, err := net.Dial("unix", p.server)
	if err != nil {
		return
	}
	l := &link{client: client, server: server}
	p.set(func() {
		p.links[l] = struct{}{}
		if p.closed {
			_ = client.Close()
		}
	})
	defer p.set(func() { delete(p.links, l) })
	var back sync.WaitGroup
	back.Go(func() { p.answers(l) })
	p.questions(l)
	_ = server.Close()
	back.Wait()
}

// gate waits while nothing may pass, and takes the network's time.
func (p *proxy) gate() {
	p.change.L.Lock()
	for p.frozen && !p.closed {
		p.change.Wait()
	}
	delay := p.delay
	p.change.L.Unlock()
	if delay != nil {
		<-time.After(delay())
	}
}

// questions copies from the client to the server, message by message. The first
// has no type.
func (p *proxy) questions(l *link) {
	startup, err := readMessage(l.client, 0)
	if err != nil {
		return
	}
	if _, after, ok := bytes.Cut(startup, []byte("application_name\x00")); ok {
		name, _, _ := bytes.Cut(after, []byte{0})
		l.app = string(name)
	}
	message := startup
	for {
		p.gate()
		if l.held { // to the end of the client, which the server has to see
			_, _ = io.Copy(io.Discard, l.client)
			return
		}
		if _, err := l.server.Write(message); err != nil {
			return
		}
		if message, err = readMessage(l.client, 1); err != nil {
			return
		}
		if message[0] == 'Q' {
			p.judge(l, string(message[5:len(message)-1]))
		}
	}
}

// judge asks the trap about a statement before it is sent.
func (p *proxy) judge(l *link, statement string) {
	p.change.L.Lock()
	trap := p.trap
	p.change.L.Unlock()
	if trap == nil {
		return
	}
	switch v := trap(l, statement); v {
	case pass:
	case holdBefore:
		l.held = true
	case holdAfter:
		p.set(func() { l.mute = true })
	case cutAfter:
		p.set(func() { l.doomed = true })
	}
}

// answers copies from the server to the client.
func (p *proxy) answers(l *link) {
	defer l.client.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := l.server.Read(buffer)
		p.gate()
		p.change.L.Lock()
		doomed, mute := l.doomed, l.mute
		p.change.L.Unlock()
		if mute {
			_, _ = io.Copy(io.Discard, l.server)
		}
		if doomed || mute {
			return
		}
		if _, writeErr := l.client.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

// readMessage reads one message whose length comes after its type of the given
// size.
func readMessage(from io.Reader, kind int) ([]byte, error) {
	head := make([]byte, kind+4)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head[kind:]))
	message := make([]byte, kind+size)
	_, err := io.ReadFull(from, message[copy(message, head):])
	return message, err
}

// latency is around a mean, give or take the jitter.
func latency(mean, jitter time.Duration) func() time.Duration {
	return func() time.Duration { return mean - jitter + rand.N(2*jitter) }
}
