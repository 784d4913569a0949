package listener

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// The kinds of server message that mean something to a listener; see "Message
// Formats" in the PostgreSQL manual. All others are read and dropped.
const (
	kindError        = 'E'
	kindNotification = 'A'
	kindReady        = 'Z'
)

const (
	headerSize = 5 // kind, then a length that counts itself but not the kind

	// Why: a notification has at most 8 kB. A longer length means that the
	// stream is torn or that this is not PostgreSQL; never allocate for it.
	maxBody = 1 << 20
)

var (
	errMalformed = errors.New("malformed message from the server")
	errDeaf      = errors.New("connected, but notifications do not arrive")
)

// A message is one message of the server.
type message struct {
	kind byte
	body []byte
}

// A conn is a connection that only listens. pgdriver connects and
// authenticates, then its socket is read here: pgdriver takes a notification
// for a protocol error everywhere but in its Listener, and its Listener cannot
// wait for LISTEN's answer, nor ask over the same connection whether the
// server is still there.
type conn struct {
	net     net.Conn
	reader  *bufio.Reader
	silence time.Duration
}

func newConn(nc net.Conn, silence time.Duration) *conn {
	return &conn{net: nc, reader: bufio.NewReader(nc), silence: silence}
}

// listen subscribes to the channels and returns when the subscription holds:
// what another session notifies from now on arrives. The error is errDeaf when
// the server is well but refuses, as a standby does.
func (c *conn) listen(channels []string) error {
	var sql strings.Builder
	for _, channel := range channels {
		sql.WriteString(`LISTEN "` + strings.ReplaceAll(channel, `"`, `""`) + `";`)
	}
	if err := c.query(sql.String()); err != nil {
		return err
	}
	var refusal error
	for {
		m, err := c.receive()
		switch {
		case err != nil:
			return errors.Join(refusal, err)
		case m.kind == kindError:
			refusal = m.failure()
		case m.kind == kindReady && refusal != nil:
			return fmt.Errorf("%w: %w", errDeaf, refusal)
		case m.kind == kindReady:
			return nil
		}
	}
}

// query sends a statement; its answer arrives through receive.
func (c *conn) query(sql string) error {
	packet := append([]byte{'Q', 0, 0, 0, 0}, sql...)
	packet = append(packet, 0)
	binary.BigEndian.PutUint32(packet[1:], uint32(len(packet)-1)) //nolint:gosec // statements are short
	if err := c.net.SetWriteDeadline(c.deadline()); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if _, err := c.net.Write(packet); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// receive waits for the next message. When the server is silent it is asked
// for a sign of life, and when it stays silent the connection is given up: a
// half-open one is found within twice the silence.
func (c *conn) receive() (message, error) {
	header, err := c.header()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// Why an empty statement: the cheapest that is answered, and unlike
		// NOTIFY it takes no lock and writes no WAL. It also keeps
		// idle_session_timeout from ending the connection.
		if err := c.query(";"); err != nil {
			return message{}, err
		}
		header, err = c.header()
	}
	if err != nil {
		return message{}, fmt.Errorf("receive: %w", err)
	}
	m := message{kind: header[0]}
	size := int64(binary.BigEndian.Uint32(header[1:])) - (headerSize - 1)
	if size < 0 || size > maxBody {
		return message{}, fmt.Errorf("%w: %d bytes of kind %q", errMalformed, size, m.kind)
	}
	m.body = make([]byte, headerSize+size)
	if _, err := io.ReadFull(c.reader, m.body); err != nil {
		return message{}, fmt.Errorf("receive: %w", err)
	}
	m.body = m.body[headerSize:]
	return m, nil
}

// header looks at the next message's header without consuming it. Why: when
// the deadline falls between two of its bytes, nothing of it may be lost.
func (c *conn) header() ([]byte, error) {
	if err := c.net.SetReadDeadline(c.deadline()); err != nil {
		return nil, fmt.Errorf("set read deadline: %w", err)
	}
	return c.reader.Peek(headerSize) //nolint:wrapcheck // receive wraps it
}

func (c *conn) deadline() time.Time { return now().Add(c.silence) }

// notification takes a notification apart: the sender's process id, which is
// of no use, the channel and the payload.
func (m message) notification() (channel, payload string, err error) {
	const pidSize = 4
	if len(m.body) < pidSize {
		return "", "", fmt.Errorf("%w: short notification", errMalformed)
	}
	fields := bytes.Split(m.body[pidSize:], []byte{0})
	if len(fields) != 3 || len(fields[2]) != 0 {
		return "", "", fmt.Errorf("%w: notification of %d fields", errMalformed, len(fields))
	}
	return string(fields[0]), string(fields[1]), nil
}

// failure turns an error message into an error.
func (m message) failure() error {
	fields := make(map[byte]string)
	for field := range bytes.SplitSeq(m.body, []byte{0}) {
		if len(field) > 0 {
			fields[field[0]] = string(field[1:])
		}
	}
	return fmt.Errorf("server: %s (SQLSTATE %s)", fields['M'], fields['C'])
}

// now is the machine's clock. Sockets count their deadlines from it, so it is
// not one that a caller may set.
func now() time.Time {
	return time.Now() //nolint:forbidigo // see above
}
