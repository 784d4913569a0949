package httpapi

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// translating makes problems of what net/http refuses before there is a request
// for a handler: it writes a line of plain text to the connection, and closes
// it. It has no hook for that, so the words are exchanged on their way.
type translating struct{ net.Listener }

// Accept gives the next connection.
func (l translating) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // net/http looks at it
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &translatingConn{tcp}, nil
	}
	return conn, nil
}

// translatingConn has all that net/http looks for in a TCP connection, such as
// ReadFrom and CloseWrite.
type translatingConn struct{ *net.TCPConn }

// Write exchanges a refusal of net/http's own; it comes in one piece. Answers of
// handlers never look like one: their headers begin with others.
func (c *translatingConn) Write(p []byte) (int, error) {
	problem := translated(p)
	if problem == nil {
		return c.TCPConn.Write(p) //nolint:wrapcheck // net/http looks at it
	}
	if _, err := c.TCPConn.Write(problem); err != nil {
		return 0, err //nolint:wrapcheck // as above
	}
	return len(p), nil
}

// translated is the problem for a refusal of net/http's own, and nil for
// anything else.
func translated(p []byte) []byte {
	const plain = "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	rest, ok := bytes.CutPrefix(p, []byte("HTTP/1.1 "))
	if !ok || len(rest) < len("400 ") || rest[0] < '4' {
		return nil
	}
	_, headers, _ := bytes.Cut(rest, []byte("\r\n"))
	status, err := strconv.Atoi(string(rest[:3]))
	if err != nil || status != http.StatusExpectationFailed && !bytes.HasPrefix(headers, []byte(plain)) {
		return nil
	}
	// Why not 501 for an unknown transfer coding and 505 for another HTTP, as RFC
	// 9110 has it: what a client does wrong is never a 5xx here, so that an alert on
	// these means us.
	if status >= http.StatusInternalServerError {
		status = http.StatusBadRequest
	}
	return unreadable(status)
}

func unreadable(status int) []byte {
	code := strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "-")
	if status == http.StatusRequestHeaderFieldsTooLarge {
		code = codeHeadersTooLarge
	}
	problem := newProblem(status, code, "The request cannot be read as HTTP/1.1, or asks for what this server does not do. The connection is closed.")
	problem.Instance = requestID(&http.Request{})
	body, err := encode(problem)
	if err != nil {
		return nil // a Problem can always be encoded
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nX-Request-Id: %s\r\n"+
		"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), problemType, len(body), problem.Instance, body)
}
