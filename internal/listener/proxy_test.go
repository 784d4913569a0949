package listener

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// A proxy stands between the listener and the server and breaks on command.
type proxy struct {
	URL string

	change  *sync.Cond // guards what follows
	links   map[*link]struct{}
	refuse  bool // new connections are closed at once
	freeze  bool // new connections are frozen
	deaf    bool // notifications outside an answer are swallowed, as by a pooler in transaction mode
	stopped bool
}

// A link is one connection through the proxy.
type link struct {
	client, server net.Conn
	frozen         bool // no byte passes, and no end of the connection either
	busy           bool // a question was sent and its answer is not complete
}

func startProxy(t *testing.T, url string) *proxy {
	t.Helper()
	server := target(url)
	var listen net.ListenConfig
	front, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{
		URL: "postgres://" + server.User + ":" + server.Password + "@" + front.Addr().String() +
			"/" + server.Database + "?sslmode=disable",
		change: sync.NewCond(&sync.Mutex{}),
		links:  make(map[*link]struct{}),
	}
	ctx := t.Context()
	dial := func() (net.Conn, error) { return server.Dialer(ctx, server.Network, server.Addr) }
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := front.Accept()
			if err != nil {
				return
			}
			group.Go(func() { p.serve(client, dial) })
		}
	})
	t.Cleanup(func() {
		_ = front.Close()
		p.set(func() { p.stopped = true })
		p.cut()
		group.Wait()
	})
	return p
}

// set makes a change that every connection notices.
func (p *proxy) set(change func()) {
	p.change.L.Lock()
	defer p.change.L.Unlock()
	change()
	p.change.Broadcast()
}

// cut closes every connection, as the end of the server does.
func (p *proxy) cut() {
	p.set(func() {
		for l := range p.links {
			_ = l.client.Close()
			_ = l.server.Close()
		}
	})
}

// halfOpen freezes the connections there are, and only those.
func (p *proxy) halfOpen() {
	p.set(func() {
		for l := range p.links {
			l.frozen = true
		}
	})
}

// connections counts those that are open.
func (p *proxy) connections() int {
	p.change.L.Lock()
	defer p.change.L.Unlock()
	return len(p.links)
}

func (p *proxy) serve(client net.Conn, dial func() (net.Conn, error)) {
	defer func() { _ = client.Close() }()
	server, err := dial()
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	l := &link{client: client, server: server}
	p.change.L.Lock()
	refused := p.refuse || p.stopped
	l.frozen = p.freeze
	p.links[l] = struct{}{}
	p.change.L.Unlock()
	defer p.set(func() { delete(p.links, l) })
	if refused {
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		p.answers(l)
		_ = client.Close()
	}()
	p.questions(l)
	_ = server.Close()
	<-back
}

// questions copies from the client to the server.
func (p *proxy) questions(l *link) {
	buffer := make([]byte, 4096)
	for {
		n, err := l.client.Read(buffer)
		p.pass(l, func() { l.busy = true })
		if n > 0 {
			if _, err := l.server.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// answers copies from the server to the client, message by message.
func (p *proxy) answers(l *link) {
	header := make([]byte, headerSize)
	for {
		if _, err := io.ReadFull(l.server, header); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(header[1:])-4)
		if _, err := io.ReadFull(l.server, body); err != nil {
			return
		}
		var swallow bool
		p.pass(l, func() {
			l.busy = l.busy && header[0] != kindReady
			swallow = p.deaf && !l.busy && header[0] == kindNotification
		})
		if swallow {
			continue
		}
		if _, err := l.client.Write(append(header[:headerSize:headerSize], body...)); err != nil {
			return
		}
	}
}

// pass waits while the link is frozen and then notes what goes through it.
func (p *proxy) pass(l *link, note func()) {
	p.change.L.Lock()
	defer p.change.L.Unlock()
	for l.frozen && !p.stopped {
		p.change.Wait()
	}
	note()
}
