package httpapi

import (
	"cmp"
	"time"
)

// Limits bound what one request may cost. A zero field means its default.
type Limits struct {
	// BodyBytes is the largest body read; one byte more is a 413.
	BodyBytes int64
	// HeaderBytes bounds the request line and headers together; more is a 431.
	HeaderBytes int
	// HeaderTimeout bounds the reading of the headers; the connection is closed.
	HeaderTimeout time.Duration
	// BodyTimeout bounds the reading of the body; more is a 408.
	BodyTimeout time.Duration
	// AnswerTimeout ends a handler's context, which becomes a 503. A wait the
	// client asked for comes on top; streams have no such end.
	AnswerTimeout time.Duration
	// StreamRecheck is how often an open stream must still be authorized.
	StreamRecheck time.Duration
	// IdleTimeout closes a kept-alive connection without requests.
	IdleTimeout time.Duration
	// ShutdownTimeout is how long requests in flight may take to finish.
	ShutdownTimeout time.Duration
	// StreamClients is how many streams are open at a time; one more is a 503.
	StreamClients int
	// Heartbeat is the longest silence on a stream.
	Heartbeat time.Duration
}

// defaultLimits are the documented ones.
func defaultLimits() Limits {
	return Limits{
		BodyBytes:       1 << 20,
		HeaderBytes:     16 << 10,
		HeaderTimeout:   5 * time.Second,
		BodyTimeout:     15 * time.Second,
		AnswerTimeout:   30 * time.Second,
		StreamRecheck:   5 * time.Second,
		IdleTimeout:     60 * time.Second,
		ShutdownTimeout: 10 * time.Second,
		StreamClients:   1000,
		Heartbeat:       15 * time.Second,
	}
}

func (l Limits) withDefaults() Limits {
	d := defaultLimits()
	l.BodyBytes = cmp.Or(l.BodyBytes, d.BodyBytes)
	l.HeaderBytes = cmp.Or(l.HeaderBytes, d.HeaderBytes)
	l.HeaderTimeout = cmp.Or(l.HeaderTimeout, d.HeaderTimeout)
	l.BodyTimeout = cmp.Or(l.BodyTimeout, d.BodyTimeout)
	l.AnswerTimeout = cmp.Or(l.AnswerTimeout, d.AnswerTimeout)
	l.StreamRecheck = cmp.Or(l.StreamRecheck, d.StreamRecheck)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, d.IdleTimeout)
	l.ShutdownTimeout = cmp.Or(l.ShutdownTimeout, d.ShutdownTimeout)
	l.StreamClients = cmp.Or(l.StreamClients, d.StreamClients)
	l.Heartbeat = cmp.Or(l.Heartbeat, d.Heartbeat)
	return l
}
