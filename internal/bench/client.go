package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

// conn is one keep-alive HTTP/1.1 connection. It sends what it is given and
// reads an answer just far enough to know its status and its end.
//
// Why not net/http: its client costs more time per request than the server we
// want to measure, on the same two cores.
type conn struct {
	socket net.Conn
	buffer []byte // the answer being read; kept for the next one
}

// answerTimeout ends the wait for a server that is stuck.
const answerTimeout = 60 * time.Second

func dial(ctx context.Context, address string) (*conn, error) {
	var d net.Dialer
	socket, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to the server under test: %w", err)
	}
	return &conn{socket: socket, buffer: make([]byte, 0, 4<<10)}, nil
}

func (c *conn) close() { _ = c.socket.Close() } // nothing is pending on it

// do sends a whole request and gives the status of its answer. The answer's
// bytes stay in c.buffer until the next call.
func (c *conn) do(request []byte) (status int, err error) {
	if _, err := c.socket.Write(request); err != nil {
		return 0, fmt.Errorf("send a request: %w", err)
	}
	c.buffer = c.buffer[:0]
	head := 0
	for head == 0 {
		if err := c.fill(); err != nil {
			return 0, err
		}
		head = bytes.Index(c.buffer, []byte("\r\n\r\n")) + 1
	}
	head += len("\r\n\r\n") - 1
	status, err = strconv.Atoi(string(c.buffer[len("HTTP/1.1 "):len("HTTP/1.1 200")]))
	if err != nil {
		return 0, fmt.Errorf("read the status of %q: %w", c.buffer[:head], err)
	}
	whole, err := ending(c.buffer[:head])
	if err != nil {
		return 0, err
	}
	for !whole(c.buffer[head:]) {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	return status, nil
}

// fill reads what has come, making room for it first.
func (c *conn) fill() error {
	if len(c.buffer) == cap(c.buffer) {
		c.buffer = append(c.buffer, make([]byte, cap(c.buffer))...)[:len(c.buffer)]
	}
	n, err := c.socket.Read(c.buffer[len(c.buffer):cap(c.buffer)])
	c.buffer = c.buffer[:len(c.buffer)+n]
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	return nil
}

// ending gives the test for "this is all of the body", from the answer's head.
// It looks for the headers as Go's server spells them, and may look for the end
// of chunks from behind, because nothing is pipelined.
func ending(head []byte) (func(body []byte) bool, error) {
	if bytes.Contains(head, []byte("\r\nTransfer-Encoding: chunked\r\n")) {
		return func(body []byte) bool { return bytes.HasSuffix(body, []byte("0\r\n\r\n")) }, nil
	}
	_, after, ok := bytes.Cut(head, []byte("\r\nContent-Length: "))
	if !ok {
		return nil, fmt.Errorf("an answer says neither its length nor that it comes in chunks: %q", head)
	}
	digits, _, _ := bytes.Cut(after, []byte("\r\n"))
	length, err := strconv.Atoi(string(digits))
	if err != nil {
		return nil, errors.Join(errors.New("read the length of an answer"), err)
	}
	return func(body []byte) bool { return len(body) >= length }, nil
}

// stampID writes a new UUIDv7 in canonical form to the 36 bytes of at: the time
// in milliseconds and random bits (RFC 9562, section 5.7).
func stampID(at []byte, now time.Time, random *rand.Rand) {
	const version, variant = 0x7 << 12, 0b10 << 62
	high := uint64(now.UnixMilli())<<16 | version | random.Uint64()>>52
	low := variant | random.Uint64()>>2
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], high)
	binary.BigEndian.PutUint64(raw[8:], low)
	hex.Encode(at[0:8], raw[0:4])
	hex.Encode(at[9:13], raw[4:6])
	hex.Encode(at[14:18], raw[6:8])
	hex.Encode(at[19:23], raw[8:10])
	hex.Encode(at[24:36], raw[10:16])
	at[8], at[13], at[18], at[23] = '-', '-', '-', '-'
}
